//! One look at what was committed to the topics of this database.

use messagekit::Error;
use sqlx::postgres::PgRow;
use sqlx::{Executor, Postgres, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// Which transactions have ended, and how much the topics have: records that were given an offset, and events that are due for one.
/// Moving an event from one to the other changes nothing. Of a backlog only a part is counted.
pub(crate) const COMMIT_LOOK: &str = "
SELECT pg_current_snapshot()::text, w.count = 1000, concat_ws(' ', p.last, p.count, p.records + w.due)
FROM (
  SELECT max(p.id) AS last, count(*) AS count, coalesce(sum(p.next_offset), 0) AS records
  FROM messagekit.topic_partitions p) p
CROSS JOIN (
  SELECT count(*) AS count, count(*) FILTER (WHERE w.available_at IS NULL OR w.available_at <= clock_timestamp()) AS due
  FROM (
    SELECT w.available_at FROM messagekit.topics t
    CROSS JOIN LATERAL (
      SELECT w.available_at FROM messagekit.topic_waiting w WHERE w.topic_id = t.id ORDER BY w.seq LIMIT 1000) w
    LIMIT 1000) w) w";

/// What a look has found. Two that are equal have nothing between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CommitLook {
    /// Differs after each commit.
    pub(crate) commits: String,
    /// Differs after each commit that has given a topic records, or events that are due.
    pub(crate) records: String,
}

/// Looks once.
pub(crate) async fn look<'c>(
    executor: impl Executor<'c, Database = Postgres>,
    schema: &SchemaName,
) -> Result<CommitLook, Error> {
    let row = sqlx::query(schema.sql(COMMIT_LOOK)).fetch_one(executor).await.map_err(from_sqlx)?;
    read(&row).map_err(from_sqlx)
}

fn read(row: &PgRow) -> Result<CommitLook, sqlx::Error> {
    let (commits, is_backlog, records): (String, bool, String) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    // What was not counted may have grown.
    let records = if is_backlog { format!("{records} {commits}") } else { records };
    Ok(CommitLook { commits, records })
}
