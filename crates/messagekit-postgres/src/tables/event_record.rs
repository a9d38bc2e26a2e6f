//! What the database knows of one event. Each statement reads rows of an index; none reads a payload.

use messagekit::adapter::{OperatorRow, stored_outcome};
use messagekit::operations::{
    AuditRecord, ConsumerOutcome, EventDetail, EventFailure, FailedMessageHead, MAX_ENTRIES,
};
use messagekit::{Error, Headers, MessageId, Position, headers};
use sqlx::PgConnection;
use sqlx::postgres::PgRow;

use super::audit;
use super::failed_message_lists::head;
use super::index_steps::names_of;
use super::left::Left;
use super::operator_row::{self, PgColumns};
use crate::SchemaName;
use crate::error::from_sqlx;

/// A pending event has the shard of its key, or 64 below that while it is delayed.
pub(crate) const EVENT: &str = "
SELECT e.event_id, e.event_type, e.topic, e.aggregate_id AS key, e.created_at, octet_length(e.payload)::bigint AS payload_bytes,
  (SELECT max(c.copy) FROM messagekit.outbox_events c
    WHERE c.event_id = e.event_id AND messagekit.day_of(c.event_id) = messagekit.day_of(e.event_id)) AS copies,
  e.content_type, e.traceparent, e.headers::text AS headers, l.correlation_id, l.causation_id, l.replay_of,
  p.attempts, p.available_at, coalesce(p.shard < 0, false) AS is_delayed, r.id AS rejected,
  CASE WHEN r.error IS NULL THEN 0 ELSE r.attempts END AS refusals, r.error, r.rejected_at
FROM messagekit.outbox_events e
  LEFT JOIN LATERAL (
    SELECT k.correlation_id, k.causation_id, k.replay_of FROM messagekit.outbox_links k
    WHERE k.event_id = e.event_id OFFSET 0) l ON true
  LEFT JOIN LATERAL (
    SELECT q.attempts, q.available_at, q.shard FROM messagekit.outbox_pending q
    WHERE q.topic = e.topic AND q.seq = e.seq AND q.shard = ANY (
      SELECT s.shard - down.shards FROM (SELECT get_byte(sha256(convert_to(
          coalesce(e.aggregate_id, e.event_id), 'UTF8')), 0) & 63 AS shard OFFSET 0) s,
        (VALUES (0), (64)) down (shards)) LIMIT 1) p ON true
  LEFT JOIN LATERAL (
    SELECT j.id, j.attempts, j.error, j.rejected_at FROM messagekit.outbox_rejected j
    WHERE j.seq = e.seq LIMIT 1) r ON true
WHERE e.event_id = $1 AND e.copy = 0 AND messagekit.day_of(e.event_id) = messagekit.day_of($1)";

/// An event that is only a record of a topic of this database.
pub(crate) const RECORD: &str = r#"
SELECT r.event_id, r.event_type, t.name AS topic, r.key, r.created_at, octet_length(r.payload)::bigint AS payload_bytes,
  0 AS copies, r.content_type, r.traceparent, r.headers::text AS headers, l.correlation_id, l.causation_id, l.replay_of,
  NULL::smallint AS attempts, NULL::timestamptz AS available_at, false AS is_delayed, NULL::bigint AS rejected, 0 AS refusals,
  NULL::text AS error, NULL::timestamptz AS rejected_at, p.partition, r."offset"
FROM messagekit.topic_records r
  JOIN messagekit.topics t ON t.id = r.topic_id
  JOIN messagekit.topic_partitions p ON p.id = r.tp_id
  LEFT JOIN LATERAL (
    SELECT k.correlation_id, k.causation_id, k.replay_of FROM messagekit.outbox_links k
    WHERE k.event_id = r.event_id OFFSET 0) l ON true
WHERE r.event_id = $1 ORDER BY r.id LIMIT 1"#;

/// As the cleanup decides it: by the time of the row and by its position.
pub(crate) const HAS_LEFT: &str = "
SELECT EXISTS (SELECT FROM messagekit.outbox_events e
  WHERE e.event_id = $1 AND e.copy = 0 AND messagekit.day_of(e.event_id) = messagekit.day_of($1)
    AND e.created_at < $2 AND e.seq <= $3)";

pub(crate) const OUTCOMES: &str = concat!(
    "WITH RECURSIVE ",
    names_of!("known", "processed_messages"),
    "
SELECT k.consumer, m.outcome, m.processed_at, (SELECT count(*) FROM messagekit.in_flight_attempts a
    WHERE a.consumer = k.consumer AND a.message_id = $1) AS attempts
FROM known k CROSS JOIN LATERAL (
  SELECT p.outcome, p.processed_at FROM messagekit.processed_messages p
  WHERE p.consumer = k.consumer AND p.message_id = $1 AND p.day = messagekit.day_of($1) OFFSET 0) m
ORDER BY k.consumer LIMIT $2"
);

pub(crate) const FAILED_MESSAGES_OF: &str = concat!(
    "WITH RECURSIVE ",
    names_of!("known", "failed_messages"),
    "
SELECT ",
    head!(),
    " FROM known n CROSS JOIN LATERAL (
  SELECT * FROM messagekit.failed_messages f WHERE f.consumer = n.consumer AND f.message_id = $1 OFFSET 0) d
ORDER BY d.id DESC LIMIT $2"
);

pub(crate) const FAILURES: &str = "
SELECT consumer, reason, at FROM messagekit.outbox_failures WHERE event_id = $1 ORDER BY consumer LIMIT $2";

/// The actions on failed messages, on replays, and on a rejected event.
pub(crate) const ACTIONS: &str = "
SELECT a.id, a.at, a.operator, a.through, a.request_id, a.act AS action, a.failed_messages, a.subject, a.done
FROM (
  SELECT id FROM messagekit.admin_audit WHERE failed_messages && $1::bigint[]
  UNION
  SELECT id FROM messagekit.admin_audit WHERE subject = ANY ($2::text[]) AND act IN ('replay', 'cancel-replay')
  UNION
  SELECT id FROM messagekit.admin_audit WHERE subject = $3 AND act IN ('retry-rejected', 'discard-rejected')) f
CROSS JOIN LATERAL (SELECT * FROM messagekit.admin_audit w WHERE w.id = f.id OFFSET 0) a
ORDER BY a.id DESC LIMIT $4";

/// Returns the event of an id: of the outbox, or of a topic of this database. Its publication is that of a relay: published when it is
/// neither pending nor rejected.
pub(crate) async fn event(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: &MessageId,
) -> Result<Option<EventDetail>, Error> {
    let select = sqlx::query(schema.sql(EVENT)).persistent(false).bind(id.as_str());
    if let Some(row) = select.fetch_optional(&mut *connection).await.map_err(from_sqlx)? {
        return detail_of(&PgColumns::of(&row)).map(Some);
    }
    let select = sqlx::query(schema.sql(RECORD)).persistent(false).bind(id.as_str());
    let row = select.fetch_optional(connection).await.map_err(from_sqlx)?;
    let Some(row) = row.as_ref().map(PgColumns::of) else { return Ok(None) };
    let detail = detail_of(&row)?;
    let topic = detail.head.topic.clone();
    let position = Position { topic, partition: row.get("partition")?, offset: row.get("offset")? };
    Ok(Some(EventDetail { position: Some(position), ..detail }))
}

/// Returns whether a slot has provably passed an event.
pub(crate) async fn has_left(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: &MessageId,
    left: &Left,
) -> Result<bool, Error> {
    let select = sqlx::query_scalar(schema.sql(HAS_LEFT)).persistent(false).bind(id.as_str());
    select.bind(left.before).bind(left.last_seq).fetch_one(connection).await.map_err(from_sqlx)
}

fn detail_of(row: &PgColumns<'_>) -> Result<EventDetail, Error> {
    Ok(EventDetail {
        head: row.read()?,
        headers: headers_of(row)?,
        links: row.read()?,
        position: None,
        publication: row.read()?,
    })
}

/// Reads headers as the connector does: each column becomes the header of its name, and a null column becomes no header.
pub(super) fn headers_of(row: &PgColumns<'_>) -> Result<Headers, Error> {
    let mut kept = Headers::new();
    for (name, column) in [
        (headers::ID, "event_id"),
        (headers::EVENT_TYPE, "event_type"),
        (headers::CONTENT_TYPE, "content_type"),
        (headers::TRACEPARENT, "traceparent"),
        (headers::FREE_HEADERS, "headers"),
    ] {
        if let Some(value) = row.text(column)? {
            kept.set(name, value);
        }
    }
    Ok(kept)
}

/// Returns the marker of each consumer.
pub(crate) async fn outcomes(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: &MessageId,
) -> Result<Vec<ConsumerOutcome>, Error> {
    let select =
        sqlx::query(schema.sql(OUTCOMES)).persistent(false).bind(id.as_str()).bind(i64::from(MAX_ENTRIES));
    let rows = select.fetch_all(connection).await.map_err(from_sqlx)?;
    rows.iter().map(outcome_of).collect()
}

fn outcome_of(row: &PgRow) -> Result<ConsumerOutcome, Error> {
    let row = PgColumns::of(row);
    Ok(ConsumerOutcome {
        consumer: row.get("consumer")?,
        outcome: stored_outcome(&row.get::<String>("outcome")?)?,
        processed_at: row.get("processed_at")?,
        in_flight_attempts: row.get("attempts")?,
    })
}

/// Returns its failed messages, newest first.
pub(crate) async fn failed_messages(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: &MessageId,
) -> Result<Vec<FailedMessageHead>, Error> {
    let select = sqlx::query(schema.sql(FAILED_MESSAGES_OF)).persistent(false);
    let select = select.bind(id.as_str()).bind(i64::from(MAX_ENTRIES));
    operator_row::list(connection, select).await
}

/// Returns where it failed elsewhere.
pub(crate) async fn failures(
    connection: &mut PgConnection,
    schema: &SchemaName,
    id: &MessageId,
) -> Result<Vec<EventFailure>, Error> {
    let select =
        sqlx::query(schema.sql(FAILURES)).persistent(false).bind(id.as_str()).bind(i64::from(MAX_ENTRIES));
    operator_row::list(connection, select).await
}

/// Returns the actions on failed messages, on replays, and on the event, newest first.
pub(crate) async fn actions(
    connection: &mut PgConnection,
    schema: &SchemaName,
    failed_messages: &[i64],
    replays: &[i64],
    id: &MessageId,
) -> Result<Vec<AuditRecord>, Error> {
    let replays: Vec<String> = replays.iter().map(i64::to_string).collect();
    let select = sqlx::query(schema.sql(ACTIONS))
        .persistent(false)
        .bind(failed_messages)
        .bind(replays)
        .bind(id.as_str())
        .bind(i64::from(MAX_ENTRIES));
    select.fetch_all(connection).await.map_err(from_sqlx)?.iter().map(audit::record_of).collect()
}
