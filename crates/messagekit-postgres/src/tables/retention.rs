//! Deletes records that the retention rule of their topic no longer keeps, from the oldest of a partition on.

use jiff::Timestamp;
use messagekit::Error;
use messagekit_topic_store::RetentionCut;
use sqlx::{PgConnection, Row};

use super::next_offsets::NextOffsets;
use super::topics::{self, Partition, Topic};
use crate::SchemaName;
use crate::error::from_sqlx;

/// How many records more than it adds a batch may delete.
const BEYOND: u32 = 64;

/// The oldest records of a partition, with the time of the database.
pub(crate) const OLDEST_RECORDS: &str = r#"
SELECT "offset", (extract(epoch FROM stored_at) * 1000000)::bigint,
  (octet_length(payload) + coalesce(octet_length(key), 0))::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint
FROM messagekit.topic_records WHERE tp_id = $1 AND "offset" >= $2 ORDER BY "offset" LIMIT $3"#;

/// The first offset of a partition that a consumer of the topic has not handled. One without a cursor in this partition has handled none
/// of its records; without any consumer the answer is NULL.
pub(crate) const UNHANDLED_FROM: &str = "
SELECT min(coalesce((
  SELECT c.next FROM messagekit.consumer_cursors c WHERE c.consumer = k.consumer AND c.tp_id = $2), 0))
FROM (
  SELECT DISTINCT c.consumer FROM messagekit.consumer_cursors c
  WHERE c.tp_id = ANY (ARRAY (SELECT p.id FROM messagekit.topic_partitions p WHERE p.topic_id = $1))) k";

/// The cursors that a cut is noted in: all of them, and those that no other transaction holds. A consumer holds its cursor before the
/// topic, so no transaction may wait for one while it holds the topic.
pub(crate) const HOLD_OVERTAKEN: &str = "
SELECT (SELECT count(*) FROM messagekit.consumer_cursors WHERE tp_id = $1 AND next < $2 AND ranges IS NULL),
  (SELECT count(*) FROM (
    SELECT FROM messagekit.consumer_cursors WHERE tp_id = $1 AND next < $2 AND ranges IS NULL FOR NO KEY UPDATE SKIP LOCKED) l)";

/// Notes for each consumer how many of the records it has not handled. A consumer with record claims learns of them when it claims.
pub(crate) const COUNT_UNHANDLED: &str = r#"
UPDATE messagekit.consumer_cursors c SET expired = c.expired + (
  SELECT count(*) FROM messagekit.topic_records r
  WHERE r.tp_id = $1 AND r."offset" >= greatest($2, c.next) AND r."offset" < $3 AND (
    SELECT true FROM messagekit.processed_messages m
    WHERE m.consumer = c.consumer AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id)) IS NULL)
WHERE c.tp_id = $1 AND c.next < $3 AND c.ranges IS NULL"#;

/// Deletes records, and returns their event ids and the consumers that handle records one by one.
pub(crate) const EXPIRE: &str = r#"
WITH gone AS (
  DELETE FROM messagekit.topic_records WHERE tp_id = $1 AND "offset" >= $2 AND "offset" < $3 RETURNING event_id),
shorter AS (
  UPDATE messagekit.topic_partitions SET log_start = $3, bytes = bytes - $4 WHERE id = $1)
SELECT (SELECT array_agg(event_id) FROM gone),
  (SELECT array_agg(consumer) FROM messagekit.consumer_cursors WHERE tp_id = $1 AND by_record)"#;

/// Deletes the markers of records that are gone, unless another record has the same event.
pub(crate) const EXPIRE_MARKERS: &str = "
DELETE FROM messagekit.processed_messages m WHERE m.consumer = $1 AND m.message_id = ANY($2::text[]) AND m.outcome = 'done'
  AND (SELECT true FROM messagekit.topic_records r WHERE r.event_id = m.message_id LIMIT 1) IS NULL";

/// Deletes what a topic no longer keeps behind the records that a batch has added, so that appends alone hold it at its size.
pub(crate) async fn expire_behind(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    added: &NextOffsets,
) -> Result<(), Error> {
    if topic.definition.retention.is_none() {
        return Ok(());
    }
    // What was added is in the numbers only now.
    for known in topics::partitions(connection, schema, topic.id).await? {
        if let Some((_, count)) = added.taken().find(|(tp, _)| *tp == known.tp) {
            expire(connection, schema, topic, known, count.saturating_add(BEYOND)).await?;
        }
    }
    Ok(())
}

/// Deletes at most `max` records of a partition that is held, and returns how many.
pub(crate) async fn expire(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    partition: Partition,
    max: u32,
) -> Result<u64, Error> {
    let Some(cut) = cut(connection, schema, topic, partition, max).await? else { return Ok(0) };
    let (tp, offsets) = (partition.tp, cut.offsets());
    let hold = sqlx::query(schema.sql(HOLD_OVERTAKEN)).bind(tp).bind(offsets.end);
    let held = hold.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    let number = |column: usize| held.try_get::<i64, _>(column).map_err(from_sqlx);
    if number(0)? != number(1)? {
        // Another time.
        return Ok(0);
    }
    let count = sqlx::query(schema.sql(COUNT_UNHANDLED)).bind(tp).bind(offsets.start).bind(offsets.end);
    count.execute(&mut *connection).await.map_err(from_sqlx)?;
    let expire = sqlx::query(schema.sql(EXPIRE))
        .bind(tp)
        .bind(offsets.start)
        .bind(offsets.end)
        .bind(cut.bytes().cast_signed());
    let gone = expire.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
    let texts = |column: usize| gone.try_get::<Option<Vec<String>>, _>(column).map_err(from_sqlx);
    let ids = texts(0)?.unwrap_or_default();
    for consumer in texts(1)?.unwrap_or_default() {
        // A cached plan from the time without markers would scan all of the consumer's.
        let markers = sqlx::query(schema.sql(EXPIRE_MARKERS)).persistent(false).bind(consumer).bind(&ids);
        markers.execute(&mut *connection).await.map_err(from_sqlx)?;
    }
    Ok(cut.records())
}

/// Returns what is to be deleted, if anything.
async fn cut(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    partition: Partition,
    max: u32,
) -> Result<Option<RetentionCut>, Error> {
    let Some(rule) = topic.definition.retention else { return Ok(None) };
    let oldest = sqlx::query(schema.sql(OLDEST_RECORDS))
        .bind(partition.tp)
        .bind(partition.log_start)
        .bind(i64::from(max))
        .fetch_all(&mut *connection)
        .await
        .map_err(from_sqlx)?;
    let Some(first) = oldest.first() else { return Ok(None) };
    let now = time(first.try_get(3).map_err(from_sqlx)?);
    let kept = partition.bytes.max(0).unsigned_abs();
    let mut cut = RetentionCut::new(rule, partition.bounds(), kept, now);
    let mut limit = None;
    for row in &oldest {
        let number = |column: usize| row.try_get::<i64, _>(column).map_err(from_sqlx);
        let (offset, stored, bytes) = (number(0)?, time(number(1)?), number(2)?.unsigned_abs());
        if !cut.is_due(offset, stored) {
            break;
        }
        // Asked only when there is something to delete: most batches find nothing.
        if rule.keep_unhandled && limit.is_none() {
            let unhandled = sqlx::query_scalar(schema.sql(UNHANDLED_FROM)).bind(topic.id).bind(partition.tp);
            let unhandled: Option<i64> = unhandled.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
            limit = Some(unhandled.unwrap_or(0));
        }
        if limit.is_some_and(|limit| offset >= limit) && cut.waits_for_consumers(stored) {
            break;
        }
        cut.add(offset, stored, bytes);
    }
    Ok(Some(cut).filter(|cut| cut.records() > 0))
}

/// No clock of a server stands outside of what a timestamp can tell.
fn time(micros: i64) -> Timestamp {
    Timestamp::from_microsecond(micros).unwrap_or(Timestamp::MIN)
}
