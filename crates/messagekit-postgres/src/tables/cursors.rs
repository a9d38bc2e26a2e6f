//! Where consumers read on in the partitions of topics.

use messagekit::Error;
use messagekit_topic_store::ClaimWindow;
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use crate::SchemaName;
use crate::error::from_sqlx;

/// The most records that one call looks at to move a consumer's cursor.
const PREFIX_STEP: i64 = 10_000;

/// A consumer's cursor and claims, held until the transaction ends, with the first offset behind the settled prefix.
pub(crate) const HOLD_CURSOR: &str = "
SELECT greatest(c.next, (SELECT p.log_start FROM messagekit.topic_partitions p WHERE p.id = c.tp_id)), c.next, c.ranges, c.by_record
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
UPDATE messagekit.consumer_cursors c SET by_record = true, next = coalesce(
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

/// Notes that a consumer handles records one by one, for its first claim.
pub(crate) const HANDLES_BY_RECORD: &str =
    "UPDATE messagekit.consumer_cursors SET by_record = true WHERE consumer = $1 AND tp_id = $2";

/// As [`HANDLES_BY_RECORD`], with what it has settled beside its claims.
pub(crate) const WRITE_CURSOR: &str = "
UPDATE messagekit.consumer_cursors SET by_record = true, next = $3, ranges = $4 WHERE consumer = $1 AND tp_id = $2";

/// A consumer is forgotten in a topic: its cursors, with its claims, and the positions that it has recorded.
pub(crate) const FORGET: &str = "
WITH cursors AS (
  DELETE FROM messagekit.consumer_cursors WHERE consumer = $1 AND tp_id = ANY (ARRAY (
    SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id WHERE t.name = $2)) RETURNING 1),
recorded AS (
  DELETE FROM messagekit.consumer_offsets WHERE consumer = $1 AND topic = $2 RETURNING 1)
SELECT EXISTS (SELECT FROM cursors) OR EXISTS (SELECT FROM recorded)";

/// Forgets a consumer in a topic. Returns whether it had read it.
pub(crate) async fn forget(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &str,
) -> Result<bool, Error> {
    let forget = sqlx::query_scalar(schema.sql(FORGET)).bind(consumer).bind(topic);
    // To the end of the answer: a statement alone commits after its last row.
    Ok(forget.fetch_all(connection).await.map_err(from_sqlx)?.contains(&true))
}

/// A consumer's cursor in a partition, held.
pub(crate) struct Cursor {
    /// The first offset behind the settled prefix.
    from: i64,
    /// What it has claimed, if it ever has.
    window: Option<ClaimWindow>,
    /// It is known that it handles records one by one.
    is_by_record: bool,
}

/// Holds a consumer's cursor in a partition.
pub(crate) async fn hold(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    tp: i32,
) -> Result<Cursor, Error> {
    loop {
        let hold = sqlx::query(schema.sql(HOLD_CURSOR)).bind(consumer).bind(tp);
        if let Some(row) = hold.fetch_optional(&mut *connection).await.map_err(from_sqlx)? {
            return cursor(&row);
        }
        begin(connection, schema, consumer, &[tp]).await?;
    }
}

fn cursor(row: &PgRow) -> Result<Cursor, Error> {
    let columns = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
    let (from, next, ranges, is_by_record): (i64, i64, Option<&str>, bool) = columns().map_err(from_sqlx)?;
    let window = ranges.map(|ranges| ClaimWindow::decode(next, ranges)).transpose()?;
    Ok(Cursor { from, window, is_by_record })
}

/// Settles records that a consumer has marked: in its window if it has claims, else by its cursor. The cursor is held.
pub(crate) async fn settle(
    connection: &mut PgConnection,
    schema: &SchemaName,
    (consumer, tp): (&str, i32),
    held: Cursor,
    offsets: &[i64],
) -> Result<(), Error> {
    match held.window {
        Some(mut window) => {
            window.finish(offsets.iter().copied());
            write(connection, schema, (consumer, tp), &window).await
        }
        // What stood before the first of them was handled, or the cursor waits there.
        None if offsets.iter().min() == Some(&held.from) => {
            pass_handled(connection, schema, consumer, tp, held.from).await
        }
        None if held.is_by_record || offsets.is_empty() => Ok(()),
        None => {
            let note = sqlx::query(schema.sql(HANDLES_BY_RECORD)).bind(consumer).bind(tp);
            note.execute(connection).await.map_err(from_sqlx).map(drop)
        }
    }
}

/// Writes the window of a consumer that handles records one by one, too. The cursor is held.
pub(super) async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    (consumer, tp): (&str, i32),
    window: &ClaimWindow,
) -> Result<(), Error> {
    let write = sqlx::query(schema.sql(WRITE_CURSOR)).bind(consumer).bind(tp);
    let write = write.bind(window.next()).bind(window.encode());
    write.execute(connection).await.map_err(from_sqlx).map(drop)
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
async fn pass_handled(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    tp: i32,
    offset: i64,
) -> Result<(), Error> {
    let pass = sqlx::query(schema.sql(PASS_HANDLED)).bind(consumer).bind(tp).bind(offset).bind(PREFIX_STEP);
    pass.execute(connection).await.map_err(from_sqlx).map(drop)
}
