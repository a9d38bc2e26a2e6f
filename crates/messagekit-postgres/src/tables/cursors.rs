//! Where consumers read on in the partitions of topics.

use messagekit::Error;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// The most records that one call looks at to move a consumer's cursor.
const PREFIX_STEP: i64 = 10_000;

/// The first offset that is not handled, held until the transaction ends.
pub(crate) const HOLD_CURSOR: &str = "
SELECT greatest(c.next, (SELECT p.log_start FROM messagekit.topic_partitions p WHERE p.id = c.tp_id))
FROM messagekit.consumer_cursors c WHERE c.consumer = $1 AND c.tp_id = $2 FOR NO KEY UPDATE OF c";

/// A consumer that is new begins at the earliest record. The topic is not dropped meanwhile.
pub(crate) const BEGIN_CURSORS: &str = "
INSERT INTO messagekit.consumer_cursors (consumer, tp_id, next)
SELECT $1, p.id, p.log_start FROM messagekit.topic_partitions p WHERE p.id = ANY($2::int[]) FOR KEY SHARE
ON CONFLICT DO NOTHING RETURNING tp_id";

/// The partitions of a topic in which a consumer has a cursor, each with what it reads next.
pub(crate) const OF_TOPIC: &str = "
SELECT p.partition, c.next
FROM messagekit.topic_partitions p CROSS JOIN LATERAL (
  SELECT c.next FROM messagekit.consumer_cursors c WHERE c.tp_id = p.id AND c.consumer = $1 OFFSET 0) c
WHERE p.topic_id = $2 ORDER BY p.partition";

/// Moves the cursor of a consumer that handles records one by one from a record that it has handled past those behind it that it has
/// handled too, or past some of them.
pub(crate) const PASS_HANDLED: &str = r#"
UPDATE messagekit.consumer_cursors c SET by_record = true, ranges = NULL, next = coalesce(
  (SELECT n."offset" FROM (
    SELECT r."offset", (
      SELECT m.outcome FROM messagekit.processed_messages m
      WHERE m.consumer = (SELECT $1) AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id)) AS outcome
    FROM messagekit.topic_records r WHERE r.tp_id = $2 AND r."offset" > $3 ORDER BY r."offset" LIMIT $4) n
  WHERE n.outcome IS DISTINCT FROM 'done' LIMIT 1),
  (SELECT max(n."offset") + 1 FROM (
    SELECT r."offset" FROM messagekit.topic_records r
    WHERE r.tp_id = $2 AND r."offset" > $3 ORDER BY r."offset" LIMIT $4) n),
  $3 + 1)
WHERE c.consumer = $1 AND c.tp_id = $2"#;

/// Holds a consumer's cursor in a partition, and returns the first offset that it has not handled.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    tp: i32,
) -> Result<i64, Error> {
    loop {
        let hold = sqlx::query(schema.sql(HOLD_CURSOR)).bind(consumer).bind(tp);
        if let Some(row) = hold.fetch_optional(&mut *connection).await.map_err(from_sqlx)? {
            return row.try_get(0).map_err(from_sqlx);
        }
        begin(connection, schema, consumer, &[tp]).await?;
    }
}

/// Returns the partitions of a topic in which a consumer has a cursor, each with the offset that it reads next.
pub(crate) async fn of_topic(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: i32,
) -> Result<Vec<(i32, i64)>, Error> {
    let read = sqlx::query_as(schema.sql(OF_TOPIC)).bind(consumer).bind(topic);
    read.fetch_all(connection).await.map_err(from_sqlx)
}

/// Begins at the earliest record of those partitions in which a consumer has no cursor, and returns them.
pub(super) async fn begin(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    tps: &[i32],
) -> Result<Vec<i32>, Error> {
    let begin = sqlx::query_scalar(schema.sql(BEGIN_CURSORS)).bind(consumer).bind(tps);
    begin.fetch_all(connection).await.map_err(from_sqlx)
}

/// Moves a cursor that is held from a record that its consumer has handled.
pub(crate) async fn pass_handled(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    tp: i32,
    offset: i64,
) -> Result<(), Error> {
    let pass = sqlx::query(schema.sql(PASS_HANDLED)).bind(consumer).bind(tp).bind(offset).bind(PREFIX_STEP);
    pass.execute(connection).await.map_err(from_sqlx).map(drop)
}
