//! Topics that are dropped, and what they leave.
//!
//! The rows of a topic and of its partitions go at once. Their numbers are never given again, so what names them is of no topic any more: it
//! is deleted in pieces, and found again after a process has died in between.

use messagekit::Error;
use messagekit_topic_store::check_unfed;
use sqlx::{PgConnection, Row};

use super::retention::EXPIRE_MARKERS;
use super::topics;
use crate::SchemaName;
use crate::error::from_sqlx;

/// The most rows that one piece deletes.
const PIECE: i64 = 1_000;

/// The tables that feed a topic.
pub(crate) const FEEDING: &str =
    "SELECT table_name FROM messagekit.table_sources WHERE topic = $1 ORDER BY table_name";

/// Ends the claims on a topic, and waits for transactions that settle some. They are held before the partitions, as consumers do.
pub(crate) const END_CLAIMS: &str = "
UPDATE messagekit.consumer_cursors SET ranges = NULL
WHERE tp_id = ANY (ARRAY (SELECT p.id FROM messagekit.topic_partitions p WHERE p.topic_id = $1))";

pub(crate) const DROP_PARTITIONS: &str = "DELETE FROM messagekit.topic_partitions WHERE topic_id = $1";
pub(crate) const DROP_TOPIC: &str = "DELETE FROM messagekit.topics WHERE id = $1";

/// Deletes the positions of consumers in a topic. Each consumer is looked up once, however many positions it has.
pub(crate) const DROP_OFFSETS: &str = "
WITH RECURSIVE consumers (consumer) AS (
  (SELECT consumer FROM messagekit.consumer_offsets WHERE consumer > '' ORDER BY consumer LIMIT 1)
  UNION ALL
  SELECT (SELECT l.consumer FROM messagekit.consumer_offsets l WHERE l.consumer > c.consumer ORDER BY l.consumer LIMIT 1)
  FROM consumers c WHERE c.consumer IS NOT NULL)
DELETE FROM messagekit.consumer_offsets o
WHERE o.topic = $1 AND o.consumer = ANY (ARRAY (SELECT c.consumer FROM consumers c WHERE c.consumer IS NOT NULL))";

/// The first number in a column that no row of another table has. Each number is looked up once, however many rows have it.
macro_rules! first_left {
    ($table:literal, $column:literal, $of:literal) => {
        concat!(
            "
WITH RECURSIVE numbers (number) AS (
  (SELECT ",
            $column,
            " FROM messagekit.",
            $table,
            " WHERE ",
            $column,
            " > 0 ORDER BY ",
            $column,
            " LIMIT 1)
  UNION ALL
  SELECT (SELECT l.",
            $column,
            " FROM messagekit.",
            $table,
            " l WHERE l.",
            $column,
            " > n.number ORDER BY l.",
            $column,
            " LIMIT 1)
  FROM numbers n WHERE n.number IS NOT NULL)
SELECT n.number FROM numbers n
WHERE n.number IS NOT NULL AND (SELECT true FROM messagekit.",
            $of,
            " o WHERE o.id = n.number) IS NULL LIMIT 1"
        )
    };
}

/// Deletes the first rows of a number, by the next column of the key.
macro_rules! clear {
    ($table:literal, $column:literal, $key:literal) => {
        concat!(
            "
DELETE FROM messagekit.",
            $table,
            " WHERE ",
            $column,
            " = $1 AND ",
            $key,
            " <= (
  SELECT max(n.",
            $key,
            ") FROM (SELECT l.",
            $key,
            " FROM messagekit.",
            $table,
            " l WHERE l.",
            $column,
            " = $1 ORDER BY l.",
            $key,
            " LIMIT $2) n)"
        )
    };
}

/// Several records have one migration.
const CLEAR_STAGED: &str = "
DELETE FROM messagekit.topic_migrations WHERE ctid = ANY (ARRAY (
  SELECT ctid FROM messagekit.topic_migrations WHERE topic_id = $1 LIMIT $2))";

pub(crate) const LEFT_RECORDS: &str = first_left!("topic_records", "tp_id", "topic_partitions");

/// Deletes some records, and returns their event ids and the consumers that handle records one by one.
pub(crate) const CLEAR_RECORDS: &str = r#"
WITH gone AS (
  DELETE FROM messagekit.topic_records WHERE tp_id = $1 AND "offset" <= (
    SELECT max(n."offset") FROM (
      SELECT r."offset" FROM messagekit.topic_records r WHERE r.tp_id = $1 ORDER BY r."offset" LIMIT $2) n)
  RETURNING event_id)
SELECT count(*), array_agg(event_id), (SELECT array_agg(consumer) FROM messagekit.consumer_cursors WHERE tp_id = $1 AND by_record)
FROM gone"#;

/// What is left beside records, and how some of it is deleted. Cursors last: they say whose markers go with the records.
pub(crate) const BESIDE: [(&str, &str); 4] = [
    (first_left!("topic_waiting", "topic_id", "topics"), clear!("topic_waiting", "topic_id", "seq")),
    (
        first_left!("topic_dedup_hashes", "topic_id", "topics"),
        clear!("topic_dedup_hashes", "topic_id", "hash"),
    ),
    (first_left!("topic_migrations", "topic_id", "topics"), CLEAR_STAGED),
    (
        first_left!("consumer_cursors", "tp_id", "topic_partitions"),
        clear!("consumer_cursors", "tp_id", "consumer"),
    ),
];

/// Deletes some records of a topic in their next form, and returns how many; 0 when there are no more.
pub(crate) async fn clear_staged(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: i32,
) -> Result<u64, Error> {
    let clear = sqlx::query(schema.sql(CLEAR_STAGED)).bind(topic).bind(PIECE);
    Ok(clear.execute(connection).await.map_err(from_sqlx)?.rows_affected())
}

/// Returns the tables that feed a topic.
pub(crate) async fn feeding(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &str,
) -> Result<Vec<String>, Error> {
    sqlx::query_scalar(schema.sql(FEEDING)).bind(topic).fetch_all(connection).await.map_err(from_sqlx)
}

/// Drops a topic that no table feeds.
pub(crate) async fn drop_topic(
    connection: &mut PgConnection,
    schema: &SchemaName,
    name: &str,
) -> Result<(), Error> {
    let topic = topics::kept(connection, schema, name).await?;
    check_unfed(name, &feeding(connection, schema, name).await?)?;
    for statement in [END_CLAIMS, DROP_PARTITIONS, DROP_TOPIC] {
        sqlx::query(schema.sql(statement))
            .bind(topic.id)
            .execute(&mut *connection)
            .await
            .map_err(from_sqlx)?;
    }
    // Those of a published topic may be of its broker, which goes on.
    if !topic.is_published {
        let offsets = sqlx::query(schema.sql(DROP_OFFSETS)).bind(name);
        offsets.execute(connection).await.map_err(from_sqlx)?;
    }
    Ok(())
}

/// Deletes a piece of what dropped topics have left, and returns how many rows; 0 when nothing is left.
pub(crate) async fn clear(connection: &mut PgConnection, schema: &SchemaName) -> Result<u64, Error> {
    if let Some(tp) = first_left(connection, schema, LEFT_RECORDS).await? {
        return clear_records(connection, schema, tp).await;
    }
    for (left, clear) in BESIDE {
        if let Some(number) = first_left(connection, schema, left).await? {
            let clear = sqlx::query(schema.sql(clear)).bind(number).bind(PIECE);
            return Ok(clear.execute(connection).await.map_err(from_sqlx)?.rows_affected());
        }
    }
    Ok(0)
}

async fn first_left(
    connection: &mut PgConnection,
    schema: &SchemaName,
    statement: &'static str,
) -> Result<Option<i32>, Error> {
    sqlx::query_scalar(schema.sql(statement)).fetch_optional(connection).await.map_err(from_sqlx)
}

/// The markers of consumers that handle records one by one are of no use without them.
async fn clear_records(connection: &mut PgConnection, schema: &SchemaName, tp: i32) -> Result<u64, Error> {
    let clear = sqlx::query(schema.sql(CLEAR_RECORDS)).bind(tp).bind(PIECE);
    let gone = clear.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    let texts = |column: usize| gone.try_get::<Option<Vec<String>>, _>(column).map_err(from_sqlx);
    let ids = texts(1)?.unwrap_or_default();
    for consumer in texts(2)?.unwrap_or_default() {
        // A cached plan from the time without markers would scan all of the consumer's.
        let markers = sqlx::query(schema.sql(EXPIRE_MARKERS)).persistent(false).bind(consumer).bind(&ids);
        markers.execute(&mut *connection).await.map_err(from_sqlx)?;
    }
    let count: i64 = gone.try_get(0).map_err(from_sqlx)?;
    Ok(count.unsigned_abs())
}
