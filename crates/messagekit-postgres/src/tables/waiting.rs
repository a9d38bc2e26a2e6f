//! The sequencer: gives events that wait their partition, offset and id.
//!
//! The writers of events commit in any order, and lock nothing of a topic. The next reader, claim or append moves what they have
//! committed, with the partitions of the topic held: no offset is given twice, and none is skipped. A crash leaves the events waiting.

use messagekit::Error;
use sqlx::{PgConnection, Row};

use super::next_offsets::NextOffsets;
use super::topics::{self, Topic};
use crate::SchemaName;
use crate::error::from_sqlx;

/// How many events move at a time.
pub(crate) const BATCH: usize = 1_000;

/// The oldest events that are due. The ids are drawn while the partitions are held, so that they have the order of the offsets.
pub(crate) const WAITING: &str = "
SELECT w.seq, w.key, nextval('messagekit.topic_record_ids')
FROM (
  SELECT seq, key FROM messagekit.topic_waiting
  WHERE topic_id = $1 AND (available_at IS NULL OR available_at <= clock_timestamp())
  ORDER BY seq LIMIT $2) w";

/// Moves events, and the ends of their partitions.
pub(crate) const MOVE: &str = r#"
WITH moved AS (
  DELETE FROM messagekit.topic_waiting WHERE topic_id = $1 AND seq = ANY($2::bigint[]) RETURNING *),
placed AS (
  INSERT INTO messagekit.topic_records
    (tp_id, "offset", id, topic_id, event_id, event_type, key, content_type, traceparent, headers, created_at, payload)
  SELECT a.tp_id, a."offset", a.id, m.topic_id, m.event_id, m.event_type, m.key, m.content_type, m.traceparent, m.headers,
    m.created_at, m.payload
  FROM unnest($2::bigint[], $3::int[], $4::bigint[], $5::bigint[]) a (seq, tp_id, "offset", id) JOIN moved m ON m.seq = a.seq
  RETURNING tp_id, octet_length(payload) + coalesce(octet_length(key), 0) AS bytes)
UPDATE messagekit.topic_partitions p SET next_offset = p.next_offset + s.count, bytes = p.bytes + s.bytes
FROM (SELECT tp_id, count(*) AS count, sum(bytes) AS bytes FROM placed GROUP BY tp_id) s WHERE p.id = s.tp_id"#;

/// Gives offsets to every event of a topic that waits, in the caller's transaction. Holds the topic until its end if there are any.
pub(crate) async fn sequence(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
) -> Result<(), Error> {
    // Others may go on writing: what they commit meanwhile is not waited for.
    let mut is_full = topic.has_waiting;
    while is_full {
        is_full = sequence_batch(connection, schema, topic).await? == BATCH;
    }
    Ok(())
}

/// Gives offsets to the oldest events, and returns how many there were. Holds the topic until the transaction ends.
pub(crate) async fn sequence_batch(
    connection: &mut PgConnection,
    schema: &SchemaName,
    topic: &Topic,
) -> Result<usize, Error> {
    let mut next = NextOffsets::new(topics::hold_partitions(connection, schema, topic.id).await?);
    let waiting = sqlx::query(schema.sql(WAITING)).bind(topic.id).bind(BATCH as i64);
    let rows = waiting.fetch_all(&mut *connection).await.map_err(from_sqlx)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let (mut seqs, mut tps, mut offsets, mut ids) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for row in &rows {
        let key: Option<&str> = row.try_get(1).map_err(from_sqlx)?;
        let (tp, offset) = next.take(key.map(str::as_bytes));
        seqs.push(row.try_get::<i64, _>(0).map_err(from_sqlx)?);
        tps.push(tp);
        offsets.push(offset);
        ids.push(row.try_get::<i64, _>(2).map_err(from_sqlx)?);
    }
    let moving = sqlx::query(schema.sql(MOVE)).bind(topic.id).bind(seqs).bind(tps).bind(offsets).bind(ids);
    moving.execute(&mut *connection).await.map_err(from_sqlx)?;
    super::retention::expire_behind(connection, schema, topic, &next).await?;
    Ok(rows.len())
}
