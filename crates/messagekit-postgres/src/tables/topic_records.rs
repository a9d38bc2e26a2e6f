//! Records of topics, as readers of the log see them.

use std::ops::Range;
use std::sync::Arc;

use jiff_sqlx::{Timestamp, ToSqlx};
use messagekit::log::Record;
use messagekit::{Error, Message, Position, headers};
use sqlx::postgres::PgRow;
use sqlx::{PgConnection, Row};

use super::topics;
use crate::SchemaName;
use crate::error::from_sqlx;

/// The columns of a record `r` of a partition `p`.
macro_rules! columns {
    () => {
        r#"p.partition, r."offset", r.event_id, r.event_type, r.key, r.content_type, r.traceparent, r.created_at, r.headers::text,
  r.payload, r.stored_at"#
    };
}
pub(super) use columns;

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
pub(super) fn record(topic: &Arc<str>, row: &PgRow) -> Result<Record, sqlx::Error> {
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
