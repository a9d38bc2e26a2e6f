//! Records of topics, as readers of the log and as one consumer sees them.

use std::ops::Range;
use std::sync::Arc;

use jiff_sqlx::{Timestamp, ToSqlx};
use messagekit::log::{Record, RecordCounts, RecordPage, RecordQuery, RecordStatus, TopicRecord};
use messagekit::{Error, Message, Position, headers};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::topics::{self, Topic};
use crate::SchemaName;
use crate::error::from_sqlx;

/// How many records one statement looks at for those of a status.
const LOOK_AT: i64 = 1_000;

/// The columns of a record `r` of a partition `p`.
macro_rules! columns {
    () => {
        r#"p.partition, r."offset", r.event_id, r.event_type, r.key, r.content_type, r.traceparent, r.created_at, r.headers::text,
  r.payload, r.stored_at"#
    };
}

/// The marker `m` of a record `r` for the consumer `$1`, and how far the consumer is with it: 0 new, 1 handled, 2 dead. An open failed
/// message that is not dead is still to be handled. Limited, so that it is looked up for each record, whatever the tables hold.
macro_rules! marker {
    () => {
        "
  LEFT JOIN LATERAL (
    SELECT m.outcome, m.processed_at, CASE m.outcome WHEN 'done' THEN 1 WHEN 'discarded' THEN 2 ELSE (
      SELECT CASE f.state WHEN 'dead' THEN 2 ELSE 0 END FROM messagekit.failed_messages f
      WHERE f.consumer = (SELECT $1) AND f.message_id = r.event_id) END AS status
    FROM messagekit.processed_messages m
    WHERE m.consumer = (SELECT $1) AND m.message_id = r.event_id AND m.day = messagekit.day_of(r.event_id) LIMIT 1) m ON true"
    };
}

/// The records of a partition in a range of offsets, at most so many, and no more once they hold so many bytes.
pub(crate) const READ: &str = concat!(
    "
SELECT ",
    columns!(),
    r#"
FROM (
  SELECT r.*, sum(octet_length(r.payload)) OVER (ORDER BY r."offset" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
  FROM (
    SELECT * FROM messagekit.topic_records
    WHERE tp_id = $1 AND "offset" >= $2 AND "offset" < $3 ORDER BY "offset" LIMIT $4) r) r
  CROSS JOIN messagekit.topic_partitions p
WHERE p.id = $1 AND coalesce(r.before, 0) < $5 ORDER BY r."offset""#
);

/// As [`READ`], by the name of the topic. One row without an offset when there are no records, and none without the partition.
pub(crate) const READ_CLAIMED: &str = concat!(
    "
SELECT ",
    columns!(),
    r#"
FROM (
  SELECT o.id, o.partition FROM messagekit.topics t JOIN messagekit.topic_partitions o ON o.topic_id = t.id
  WHERE t.name = $1 AND o.partition = $2 OFFSET 0) p
  LEFT JOIN LATERAL (
    SELECT * FROM (
      SELECT r.*, sum(octet_length(r.payload)) OVER (ORDER BY r."offset" ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS before
      FROM (
        SELECT * FROM messagekit.topic_records
        WHERE tp_id = p.id AND "offset" >= $3 AND "offset" < $4 ORDER BY "offset" LIMIT $4 - $3) r) r
    WHERE coalesce(r.before, 0) < $5) r ON true
ORDER BY r."offset""#
);

/// The first offset of each partition of a topic that was given at a time or later, or its end. Clocks jump, so no record is passed over
/// because of those beside it.
pub(crate) const FIRST_SINCE: &str = r#"
SELECT p.partition, coalesce((
  SELECT r."offset" FROM messagekit.topic_records r
  WHERE r.tp_id = p.id AND r.stored_at >= $2 ORDER BY r."offset" LIMIT 1), p.next_offset)
FROM messagekit.topic_partitions p WHERE p.topic_id = $1 ORDER BY p.partition"#;

/// The last of the next ids of a topic, and how many they are.
pub(crate) const NEXT_IDS: &str = "
SELECT max(n.id), count(*)
FROM (SELECT id FROM messagekit.topic_records WHERE topic_id = $1 AND id > $2 ORDER BY id LIMIT $3) n";

/// The records of a topic in a range of ids, with a consumer's marker.
pub(crate) const RECORDS: &str = concat!(
    "
SELECT ",
    columns!(),
    ", r.id, coalesce(m.status, 0), m.processed_at, coalesce(m.outcome = 'held', false)
FROM messagekit.topic_records r",
    marker!(),
    "
  JOIN messagekit.topic_partitions p ON p.id = r.tp_id
WHERE r.topic_id = $2 AND r.id > $3 AND r.id <= $4 AND ($5::int IS NULL OR coalesce(m.status, 0) = $5) ORDER BY r.id LIMIT $6"
);

/// The id of the first record that a consumer may not have handled; how many records retention has deleted before it had handled them;
/// and the same for the partitions in which it has handled none behind them.
pub(crate) const PREFIXES: &str = r#"
SELECT min(f.id), coalesce(sum(c.expired), 0)::bigint,
  (sum(c.expired) FILTER (WHERE c.next < p.log_start AND c.expired > 0))::bigint
FROM messagekit.topic_partitions p
  LEFT JOIN LATERAL (
    SELECT * FROM messagekit.consumer_cursors c WHERE c.tp_id = p.id AND c.consumer = $1 OFFSET 0) c ON true
  LEFT JOIN LATERAL (
    SELECT r.id FROM messagekit.topic_records r
    WHERE r.tp_id = p.id AND r."offset" >= greatest(p.log_start, coalesce(c.next, 0)) ORDER BY r."offset" LIMIT 1) f ON true
WHERE p.topic_id = $2"#;

/// The numbers of a topic's records. What stands in the handled prefix is not looked at.
pub(crate) const COUNT_RECORDS: &str = concat!(
    r#"
SELECT coalesce(sum(p.next_offset - p.log_start), 0)::bigint, coalesce(sum(n.new), 0)::bigint, coalesce(sum(n.dead), 0)::bigint,
  coalesce(sum(c.expired), 0)::bigint
FROM messagekit.topic_partitions p
  LEFT JOIN LATERAL (
    SELECT * FROM messagekit.consumer_cursors c WHERE c.tp_id = p.id AND c.consumer = $1 OFFSET 0) c ON true
  CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE coalesce(m.status, 0) = 0) AS new, count(*) FILTER (WHERE m.status = 2) AS dead
    FROM messagekit.topic_records r"#,
    marker!(),
    r#"
    WHERE r.tp_id = p.id AND r."offset" >= greatest(p.log_start, coalesce(c.next, 0))) n
WHERE p.topic_id = $2"#
);

/// Returns records of a partition in a range of offsets, in order: at most `max`, and no more once they hold `bytes`. At least one when
/// there is one.
pub(crate) async fn read(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Arc<str>,
    tp: i32,
    offsets: Range<i64>,
    max: i64,
    bytes: i64,
) -> Result<Vec<Record>, Error> {
    let read =
        sqlx::query(schema.sql(READ)).bind(tp).bind(offsets.start).bind(offsets.end).bind(max).bind(bytes);
    let rows = read.fetch_all(connection).await.map_err(from_sqlx)?;
    rows.iter().map(|row| record(topic, row).map_err(from_sqlx)).collect()
}

/// As [`read`], of all records in the range, by the name of the topic.
pub(crate) async fn read_claimed(
    connection: &mut PgConnection,
    schema: &SchemaName,
    (topic, partition): (&Arc<str>, i32),
    offsets: Range<i64>,
    bytes: i64,
) -> Result<Vec<Record>, Error> {
    let read = sqlx::query(schema.sql(READ_CLAIMED))
        .bind(&**topic)
        .bind(partition)
        .bind(offsets.start)
        .bind(offsets.end)
        .bind(bytes);
    let rows = read.fetch_all(connection).await.map_err(from_sqlx)?;
    if rows.is_empty() {
        return Err(topics::no_topic(topic));
    }
    let mut records = Vec::with_capacity(rows.len());
    for row in &rows {
        if row.try_get::<Option<i64>, _>(1).map_err(from_sqlx)?.is_some() {
            records.push(record(topic, row).map_err(from_sqlx)?);
        }
    }
    Ok(records)
}

/// Returns the partitions of a topic, each with the offset of its first record that was stored at this time or later, or with its end.
pub(crate) async fn first_since(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: i32,
    time: jiff::Timestamp,
) -> Result<Vec<(i32, i64)>, Error> {
    let read = sqlx::query_as(schema.sql(FIRST_SINCE)).bind(topic).bind(time.to_sqlx());
    read.fetch_all(connection).await.map_err(from_sqlx)
}

/// Reads a row that begins with the columns of a record. It is the same for consumers of the log and for a broker.
fn record(topic: &Arc<str>, row: &PgRow) -> Result<Record, sqlx::Error> {
    let mut message = Message::new(topic.clone(), row.try_get::<Vec<u8>, _>(9)?);
    message.key = row.try_get::<Option<String>, _>(4)?.map(Into::into);
    let created_at = row.try_get::<Timestamp, _>(7)?.to_jiff();
    let timestamp = row.try_get::<Timestamp, _>(10)?.to_jiff();
    let text = |column: usize| row.try_get::<Option<String>, _>(column);
    for (name, value) in [
        (headers::ID, text(2)?),
        (headers::EVENT_TYPE, text(3)?),
        (headers::CONTENT_TYPE, text(5)?),
        (headers::TRACEPARENT, text(6)?),
        (headers::CREATED_AT, Some(format!("{created_at:.6}"))),
        (headers::FREE_HEADERS, text(8)?),
    ] {
        if let Some(value) = value {
            message.headers.set(name, value);
        }
    }
    let position = Position { topic: topic.clone(), partition: row.try_get(0)?, offset: row.try_get(1)? };
    Ok(Record { message, position, timestamp: Some(timestamp), is_tombstone: false })
}

/// Reads records of a topic in the order of their ids.
pub(crate) async fn query(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    query: &RecordQuery,
) -> Result<RecordPage, Error> {
    let mut page = RecordPage::default();
    let mut after = query.after;
    if query.status == Some(RecordStatus::New) {
        let prefixes = sqlx::query(schema.sql(PREFIXES)).bind(&*query.consumer).bind(topic.id);
        let row = prefixes.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
        page.overtaken = row.try_get::<Option<i64>, _>(2).map_err(from_sqlx)?.map(i64::unsigned_abs);
        let first: Option<i64> = row.try_get(0).map_err(from_sqlx)?;
        let Some(first) = first else { return Ok(page) };
        after = after.max(first - 1);
    }
    let max = query.max as usize;
    let step = i64::from(query.max).max(LOOK_AT);
    while page.records.len() < max {
        let next = sqlx::query(schema.sql(NEXT_IDS)).bind(topic.id).bind(after).bind(step);
        let row = next.fetch_one(&mut *connection).await.map_err(from_sqlx)?;
        let (last, found): (Option<i64>, i64) =
            (row.try_get(0).map_err(from_sqlx)?, row.try_get(1).map_err(from_sqlx)?);
        let Some(last) = last else { break };
        let left = max - page.records.len();
        page.records.extend(between(connection, schema, topic, query, after..last, left).await?);
        after = last;
        if found < step {
            break;
        }
    }
    Ok(page)
}

/// Reads at most `max` records of the wanted status whose ids are behind the first number, up to the second.
async fn between(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    query: &RecordQuery,
    ids: Range<i64>,
    max: usize,
) -> Result<Vec<TopicRecord>, Error> {
    let wanted = query.status.map(|status| match status {
        RecordStatus::New => 0,
        RecordStatus::Handled => 1,
        RecordStatus::Dead => 2,
    });
    let records = sqlx::query(schema.sql(RECORDS))
        .bind(&*query.consumer)
        .bind(topic.id)
        .bind(ids.start)
        .bind(ids.end)
        .bind(wanted)
        .bind(i64::try_from(max).unwrap_or(i64::MAX));
    let rows = records.fetch_all(connection).await.map_err(from_sqlx)?;
    let record = |row: &PgRow| {
        let status = match row.try_get::<i32, _>(12)? {
            0 => RecordStatus::New,
            1 => RecordStatus::Handled,
            _ => RecordStatus::Dead,
        };
        let handled_at = row.try_get::<Option<Timestamp>, _>(13)?.filter(|_| status == RecordStatus::Handled);
        Ok(TopicRecord {
            id: row.try_get(11)?,
            record: record(&query.topic, row)?,
            status,
            is_failed: row.try_get(14)?,
            handled_at: handled_at.map(Timestamp::to_jiff),
        })
    };
    rows.iter().map(record).collect::<Result<_, sqlx::Error>>().map_err(from_sqlx)
}

/// Counts the records of a topic.
pub(crate) async fn count(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
    consumer: &str,
) -> Result<RecordCounts, Error> {
    let count = sqlx::query(schema.sql(COUNT_RECORDS)).bind(consumer).bind(topic.id);
    let row = count.fetch_one(connection).await.map_err(from_sqlx)?;
    let number = |column: usize| row.try_get::<i64, _>(column).map(i64::unsigned_abs).map_err(from_sqlx);
    let (all, new, dead, expired) = (number(0)?, number(1)?, number(2)?, number(3)?);
    Ok(RecordCounts { all, new, handled: all.saturating_sub(new + dead), dead, expired })
}
