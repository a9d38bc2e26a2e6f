//! Record claims: a consumer's window in each partition of a topic.

use std::collections::HashMap;
use std::ops::Range;

use bytes::Bytes;
use messagekit::Error;
use messagekit::log::Bounds;
use messagekit_topic_store::{ClaimPartition, ClaimPartitions, ClaimWindow};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::cursors;
use super::handled_records;
use super::topics::{self, Topic};
use super::waiting;
use crate::SchemaName;
use crate::error::from_sqlx;

/// A consumer's windows in the partitions of a topic, held until the transaction ends. A statement that has waited for them sees what
/// the other transaction has left.
pub(crate) const HOLD_WINDOWS: &str = "
SELECT c.tp_id, c.next, c.ranges, c.by_record FROM messagekit.consumer_cursors c
WHERE c.consumer = $1 AND c.tp_id = ANY (ARRAY (
  SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id WHERE t.name = $2))
ORDER BY c.tp_id FOR NO KEY UPDATE OF c";

/// The partitions `p` of the topic `t` of this name, and whether events wait for their offset.
macro_rules! named_topic {
    ($name:literal) => {
        concat!(
            "
FROM (
  SELECT t.id, (SELECT true FROM messagekit.topic_waiting w
    WHERE w.topic_id = t.id AND (w.available_at IS NULL OR w.available_at <= clock_timestamp())
    ORDER BY w.seq LIMIT 1) IS NOT NULL AS has_waiting
  FROM messagekit.topics t WHERE t.name = ",
            $name,
            " OFFSET 0) t
  JOIN messagekit.topic_partitions p ON p.topic_id = t.id"
        )
    };
}
pub(super) use named_topic;

/// When the first failed message of a consumer is due. The lower bound keeps the plan in the order of the index.
macro_rules! failed_due {
    ($consumer:literal) => {
        concat!(
            "(
  SELECT d.due FROM messagekit.failed_messages d
  WHERE d.consumer = ",
            $consumer,
            " AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due >= '-infinity' ORDER BY d.due LIMIT 1)"
        )
    };
}
pub(super) use failed_due;

/// The partitions of a topic with the time, whether events wait for their offset, and when a failed message of the consumer is due.
pub(crate) const BOUNDS: &str = concat!(
    "
SELECT p.id, p.partition, p.log_start, p.next_offset, clock_timestamp(), t.has_waiting, ",
    failed_due!("$2"),
    named_topic!("$1"),
    "
ORDER BY p.partition"
);

pub(crate) const WRITE_WINDOW: &str = "
UPDATE messagekit.consumer_cursors SET next = $4, ranges = $5 WHERE consumer = $1 AND tp_id = (
  SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id
  WHERE t.name = $2 AND p.partition = $3)";

/// The keys of the records of a partition in ranges of offsets.
pub(crate) const KEYS: &str = r#"
SELECT r."offset", r.key
FROM unnest($3::bigint[], $4::bigint[]) AS a (first, behind)
  CROSS JOIN LATERAL (
    SELECT k."offset", k.key FROM messagekit.topic_records k
    WHERE k.tp_id = (
        SELECT p.id FROM messagekit.topics t JOIN messagekit.topic_partitions p ON p.topic_id = t.id
        WHERE t.name = $1 AND p.partition = $2)
      AND k."offset" >= a.first AND k."offset" < a.behind AND k.key IS NOT NULL) r"#;

/// Every consumer's claims on a topic, held until the transaction ends.
pub(crate) const CLAIMS_OF_TOPIC: &str = "
SELECT c.next, c.ranges, clock_timestamp() FROM messagekit.consumer_cursors c
WHERE c.tp_id = ANY (ARRAY (SELECT p.id FROM messagekit.topic_partitions p WHERE p.topic_id = $1))
ORDER BY c.consumer, c.tp_id FOR NO KEY UPDATE OF c";

/// Returns the partitions of a topic with a consumer's windows, in order.
///
/// The windows are held before the topic: a handler that settles its claim and then appends to the same topic takes them in this order.
pub(crate) async fn partitions(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &str,
) -> Result<ClaimPartitions, Error> {
    let mut windows = hold(connection, schema, consumer, topic).await?;
    // Only now: events may have come while the windows were waited for, and the time has gone on.
    let mut seen = bounds(connection, schema, consumer, topic).await?;
    let begun = if seen.known.iter().any(|(tp, _)| !windows.contains_key(tp)) {
        let tps: Vec<i32> = seen.known.iter().map(|(tp, _)| *tp).collect();
        let begun = cursors::begin(connection, schema, consumer, &tps).await?;
        windows = hold(connection, schema, consumer, topic).await?;
        begun
    } else {
        Vec::new()
    };
    if seen.has_waiting {
        let topic = topics::kept(connection, schema, topic).await?;
        // One batch is enough to claim from; the next claim moves the next one.
        waiting::sequence_batch(connection, schema, &topic).await?;
    }
    if seen.has_waiting || !begun.is_empty() {
        seen = bounds(connection, schema, consumer, topic).await?;
    }
    let partitions = seen.known.into_iter().filter_map(|(tp, bounds)| {
        let window = windows.remove(&tp)?;
        Some(ClaimPartition { bounds, window, is_new: begun.contains(&tp) })
    });
    Ok(ClaimPartitions { now: seen.now, failed_due: seen.failed_due, partitions: partitions.collect() })
}

/// A topic as a claim sees it.
struct Seen {
    now: jiff::Timestamp,
    has_waiting: bool,
    failed_due: Option<jiff::Timestamp>,
    /// The partitions, each with its number in the database.
    known: Vec<(i32, Bounds)>,
}

async fn bounds(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &str,
) -> Result<Seen, Error> {
    let select = sqlx::query(schema.sql(BOUNDS)).bind(topic).bind(consumer);
    let rows = select.fetch_all(connection).await.map_err(from_sqlx)?;
    let last = rows.last().ok_or_else(|| topics::no_topic(topic))?;
    let seen = || {
        let now: jiff_sqlx::Timestamp = last.try_get(4)?;
        let known = rows.iter().map(|row| {
            let bounds =
                Bounds { partition: row.try_get(1)?, earliest: row.try_get(2)?, end: row.try_get(3)? };
            Ok((row.try_get(0)?, bounds))
        });
        let known = known.collect::<Result<_, sqlx::Error>>()?;
        let failed_due: Option<jiff_sqlx::Timestamp> = last.try_get(6)?;
        let failed_due = failed_due.map(jiff_sqlx::Timestamp::to_jiff);
        Ok(Seen { now: now.to_jiff(), has_waiting: last.try_get(5)?, failed_due, known })
    };
    seen().map_err(from_sqlx)
}

async fn hold(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    topic: &str,
) -> Result<HashMap<i32, ClaimWindow>, Error> {
    let rows = sqlx::query(schema.sql(HOLD_WINDOWS)).bind(consumer).bind(topic);
    let mut windows = HashMap::new();
    for row in rows.fetch_all(&mut *connection).await.map_err(from_sqlx)? {
        let columns = || Ok((row.try_get(0)?, row.try_get(1)?, row.try_get(2)?, row.try_get(3)?));
        let (tp, next, ranges, by_record): (i32, i64, Option<&str>, bool) = columns().map_err(from_sqlx)?;
        let mut window = match ranges {
            Some(ranges) => ClaimWindow::decode(next, ranges)?,
            None => ClaimWindow::new(next),
        };
        // It claims for the first time: what it has handled one by one is settled.
        if ranges.is_none() && by_record {
            let handled = handled_records::behind(connection, schema, (consumer, tp), next).await?;
            window.finish(handled);
            cursors::write(connection, schema, (consumer, tp), &window).await?;
        }
        windows.insert(tp, window);
    }
    Ok(windows)
}

/// Returns the offset and key of each record in these ranges that has a key.
pub(crate) async fn keys(
    connection: &mut PgConnection,
    schema: &SchemaName,
    (topic, partition): (&str, i32),
    offsets: &[Range<i64>],
) -> Result<Vec<(i64, Bytes)>, Error> {
    let first: Vec<i64> = offsets.iter().map(|offsets| offsets.start).collect();
    let behind: Vec<i64> = offsets.iter().map(|offsets| offsets.end).collect();
    let keys = sqlx::query(schema.sql(KEYS)).bind(topic).bind(partition).bind(first).bind(behind);
    let rows = keys.fetch_all(connection).await.map_err(from_sqlx)?;
    let key = |row: &PgRow| Ok((row.try_get(0)?, row.try_get::<String, _>(1)?.into()));
    rows.iter().map(|row| key(row).map_err(from_sqlx)).collect()
}

/// Writes a consumer's window in a partition. Its end of the settled prefix is the consumer's cursor.
pub(crate) async fn write(
    connection: &mut PgConnection,
    schema: &SchemaName,
    consumer: &str,
    (topic, partition): (&str, i32),
    window: &ClaimWindow,
) -> Result<(), Error> {
    let write = sqlx::query(schema.sql(WRITE_WINDOW))
        .bind(consumer)
        .bind(topic)
        .bind(partition)
        .bind(window.next())
        .bind(window.encode());
    write.execute(connection).await.map_err(from_sqlx).map(drop)
}

/// Returns whether a worker holds records of a topic. None of those that have claimed before can until the transaction ends.
pub(crate) async fn is_held(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
) -> Result<bool, Error> {
    let claims = sqlx::query(schema.sql(CLAIMS_OF_TOPIC)).bind(topic.id);
    for row in claims.fetch_all(connection).await.map_err(from_sqlx)? {
        let Some(ranges) = row.try_get::<Option<&str>, _>(1).map_err(from_sqlx)? else { continue };
        let next = row.try_get(0).map_err(from_sqlx)?;
        let now: jiff_sqlx::Timestamp = row.try_get(2).map_err(from_sqlx)?;
        if ClaimWindow::decode(next, ranges)?.has_holder(now.to_jiff()) {
            return Ok(true);
        }
    }
    Ok(false)
}
