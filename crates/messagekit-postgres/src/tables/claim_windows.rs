//! Windows of record claims that are seen without a lock, and replaced if they are still the same.

use messagekit::log::Bounds;
use messagekit::{Error, crash};
use messagekit_topic_store::{ClaimPartition, ClaimPartitions, ClaimWindow, WindowReplacement};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::record_claims::{failed_due, named_topic};
use crate::SchemaName;
use crate::error::from_sqlx;
use crate::transaction::commit::single;

/// The partitions of a topic with a consumer's windows, all at one moment: the time, and whether events wait for an offset.
pub(crate) const SEE_WINDOWS: &str = concat!(
    "
SELECT p.partition, p.log_start, p.next_offset, c.next, c.ranges, clock_timestamp(), t.has_waiting, ",
    failed_due!("$1"),
    named_topic!("$2"),
    "
  LEFT JOIN LATERAL (
    SELECT c.next, c.ranges FROM messagekit.consumer_cursors c WHERE c.tp_id = p.id AND c.consumer = $1 OFFSET 0) c ON true
ORDER BY p.partition"
);

/// As every commit of ours, it waits for the disk. A window that was moved in another way has no ranges, and is never the same.
pub(crate) const REPLACE_WINDOW: &str = "
UPDATE messagekit.consumer_cursors SET next = $6, ranges = $7
WHERE consumer = $1 AND next = $4 AND ranges = $5 AND tp_id = (
  SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id
  WHERE t.name = $2 AND p.partition = $3)
RETURNING CASE pg_catalog.current_setting('synchronous_commit')
  WHEN 'off' THEN pg_catalog.set_config('synchronous_commit', 'on', true) END";

/// Returns what is there without a lock, or `None` if the consumer is not in every partition, or a claim must do more first.
pub(crate) async fn see(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &str,
) -> Result<Option<ClaimPartitions>, Error> {
    let see = sqlx::query(schema.sql(SEE_WINDOWS)).bind(consumer).bind(topic);
    let rows = see.fetch_all(connection).await.map_err(from_sqlx)?;
    let Some(last) = rows.last() else { return Ok(None) };
    let now: jiff_sqlx::Timestamp = last.try_get(5).map_err(from_sqlx)?;
    let failed_due: Option<jiff_sqlx::Timestamp> = last.try_get(7).map_err(from_sqlx)?;
    let mut partitions = Vec::with_capacity(rows.len());
    for row in &rows {
        let Some(partition) = partition(row)? else { return Ok(None) };
        partitions.push(partition);
    }
    let failed_due = failed_due.map(jiff_sqlx::Timestamp::to_jiff);
    Ok(Some(ClaimPartitions { now: now.to_jiff(), failed_due, partitions }))
}

fn partition(row: &PgRow) -> Result<Option<ClaimPartition>, Error> {
    let columns = |row: &PgRow| {
        let bounds = Bounds { partition: row.try_get(0)?, earliest: row.try_get(1)?, end: row.try_get(2)? };
        let (next, has_waiting): (Option<i64>, bool) = (row.try_get(3)?, row.try_get(6)?);
        Ok((bounds, next.filter(|_| !has_waiting)))
    };
    let (bounds, next) = columns(row).map_err(from_sqlx)?;
    let ranges: Option<&str> = row.try_get(4).map_err(from_sqlx)?;
    let (Some(next), Some(ranges)) = (next, ranges) else { return Ok(None) };
    Ok(Some(ClaimPartition { bounds, window: ClaimWindow::decode(next, ranges)?, is_new: false }))
}

/// Replaces a window and commits, and returns whether it was still the same.
pub(crate) async fn replace(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &str,
    replacement: &WindowReplacement,
) -> Result<bool, Error> {
    let WindowReplacement { partition, from, to } = replacement;
    let replace = sqlx::query(schema.sql(REPLACE_WINDOW))
        .bind(consumer)
        .bind(topic)
        .bind(partition)
        .bind(from.next())
        .bind(from.encode())
        .bind(to.next())
        .bind(to.encode());
    crash::point("store.before_commit");
    // To the end of the answer: a statement alone commits after its last row.
    let is_replaced = !replace.fetch_all(connection).await.map_err(single)?.is_empty();
    if is_replaced {
        crash::point("store.committed");
    }
    Ok(is_replaced)
}
