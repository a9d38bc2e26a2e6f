//! What the file knows of one event. Each statement reads rows of an index; none reads a payload.

use messagekit::adapter::{OperatorRow, headers_from_json, unknown_outcome};
use messagekit::operations::{
    AuditRecord, ConsumerOutcome, EventDetail, EventFailure, EventHead, FailedMessageHead, MAX_ENTRIES,
    Publication,
};
use messagekit::{Error, MessageId, Position, headers};
use rusqlite::Connection;

use super::columns::Columns;
use super::failed_message_head::HEAD;
use super::operator_row::{self, SqliteRow};
use super::processed::outcome_of;
use super::{audit, event_links, topics};

/// The first record of an id is the original. SQLite knows the length of a payload without reading it.
pub(crate) const EVENT: &str = "
SELECT r.pos, r.event_type, t.name AS topic, r.key, r.created_at, length(r.payload) AS payload_bytes, r.content_type, r.traceparent,
  r.headers, (SELECT count(*) FROM messagekit_topic_copies c WHERE c.original_pos = r.pos) AS copies, p.partition, r.event_id,
  l.correlation_id, l.causation_id, l.replay_of, q.attempts, q.ready_at AS available_at, 0 AS is_delayed, j.id AS rejected,
  j.attempts AS refusals, j.error, j.rejected_at
FROM messagekit_topic_records r
  JOIN messagekit_topic_partitions p ON p.id = r.pos >> 40
  JOIN messagekit_topics t ON t.id = p.topic_id AND t.partitions > 0
  LEFT JOIN messagekit_event_links l ON l.pos = r.pos
  LEFT JOIN messagekit_outbox_pending q ON q.pos = r.pos
  LEFT JOIN messagekit_outbox_rejected j ON j.pos = r.pos
WHERE r.event_id = ?1 AND NOT EXISTS (SELECT 1 FROM messagekit_topic_copies c WHERE c.pos = r.pos)
ORDER BY r.pos LIMIT 1";

pub(crate) const DELAYED: &str = "
SELECT due, topic, key, headers, length(payload) AS payload_bytes, links FROM messagekit_outbox_delayed WHERE event_id = ?1 ORDER BY number LIMIT 1";

/// One look for each consumer.
pub(crate) const OUTCOMES: &str = "
SELECT n.name AS consumer, m.outcome, m.processed_at, (SELECT count(*) FROM messagekit_in_flight_attempts a
    WHERE a.consumer_id = n.id AND a.message_id = ?1) AS attempts
FROM messagekit_consumers n
  CROSS JOIN messagekit_processed_messages m ON m.consumer_id = n.id AND m.message_id = ?1
ORDER BY n.name LIMIT ?2";

pub(crate) const FAILED_MESSAGES: &str = "
FROM messagekit_consumers n
  CROSS JOIN messagekit_failed_messages d ON d.consumer_id = n.id AND d.message_id = ?1
ORDER BY d.id DESC LIMIT ?2";

pub(crate) const FAILURES: &str = "
SELECT scope AS consumer, reason, failed_at AS at FROM messagekit_outbox_failures WHERE event_id = ?1 ORDER BY scope LIMIT ?2";

/// The actions on failed messages (?1) and replays (?2), as JSON lists, and on a rejected event (?3).
pub(crate) const ACTIONS: &str = "
FROM (
  SELECT i.audit_id FROM json_each(?1) w
    CROSS JOIN messagekit_admin_audit_ids i ON i.is_replay = 0 AND i.id = w.value
  UNION
  SELECT i.audit_id FROM json_each(?2) w
    CROSS JOIN messagekit_admin_audit_ids i ON i.is_replay = 1 AND i.id = w.value
  UNION
  SELECT id FROM messagekit_admin_audit WHERE event_id = ?3) f
CROSS JOIN messagekit_admin_audit a ON a.id = f.audit_id
ORDER BY a.id DESC LIMIT ?4";

/// Returns the event, in its topic or delayed.
pub(crate) fn event(conn: &Connection, id: &MessageId) -> Result<Option<EventDetail>, Error> {
    if let Some(kept) = operator_row::list_by(conn, EVENT, [id.as_str()], detail_of)?.pop() {
        return Ok(Some(kept));
    }
    Ok(operator_row::list_by(conn, DELAYED, [id.as_str()], |row| delayed_of(row, id))?.pop())
}

fn detail_of(row: &SqliteRow<'_>) -> Result<EventDetail, Error> {
    let known = ["event_id", "event_type", "content_type", "traceparent"].map(|column| row.text(column));
    let [id, event_type, content_type, traceparent] = known;
    let columns =
        Columns { known: [id?, event_type?, content_type?, traceparent?], rest: row.text("headers")? };
    Ok(EventDetail {
        head: row.read()?,
        headers: columns.into_headers()?,
        links: row.read()?,
        position: Some(Position {
            topic: row.get("topic")?,
            partition: row.get("partition")?,
            offset: topics::offset(row.get("pos")?),
        }),
        publication: row.read()?,
    })
}

fn delayed_of(row: &SqliteRow<'_>, id: &MessageId) -> Result<EventDetail, Error> {
    let due = row.get("due")?;
    let kept = headers_from_json(row.get::<String>("headers")?)?;
    let head = EventHead {
        event_id: id.clone(),
        event_type: kept.text(headers::EVENT_TYPE).map(str::to_owned),
        topic: row.get("topic")?,
        key: row.get("key")?,
        copies: 0,
        created_at: kept.text(headers::CREATED_AT).and_then(|time| time.parse().ok()).unwrap_or(due),
        payload_bytes: row.get("payload_bytes")?,
    };
    let links = event_links::from_json(row.text("links")?.as_deref())?;
    Ok(EventDetail { head, headers: kept, links, position: None, publication: Publication::delayed(due) })
}

/// Returns the marker of each consumer.
pub(crate) fn outcomes(conn: &Connection, id: &MessageId) -> Result<Vec<ConsumerOutcome>, Error> {
    operator_row::list_by(conn, OUTCOMES, (id.as_str(), MAX_ENTRIES), |row| {
        let number = row.get("outcome")?;
        Ok(ConsumerOutcome {
            consumer: row.get("consumer")?,
            outcome: outcome_of(number).ok_or_else(|| unknown_outcome(number))?,
            processed_at: row.get("processed_at")?,
            in_flight_attempts: row.get("attempts")?,
        })
    })
}

/// Returns its failed messages, newest first.
pub(crate) fn failed_messages(conn: &Connection, id: &MessageId) -> Result<Vec<FailedMessageHead>, Error> {
    operator_row::list(conn, &format!("SELECT {HEAD} {FAILED_MESSAGES}"), (id.as_str(), MAX_ENTRIES))
}

/// Returns where it failed elsewhere.
pub(crate) fn failures(conn: &Connection, id: &MessageId) -> Result<Vec<EventFailure>, Error> {
    operator_row::list(conn, FAILURES, (id.as_str(), MAX_ENTRIES))
}

/// Returns the actions on failed messages, on replays, and on the event, newest first.
pub(crate) fn actions(
    conn: &Connection,
    failed_messages: &[i64],
    replays: &[i64],
    id: &MessageId,
) -> Result<Vec<AuditRecord>, Error> {
    let list = |ids: &[i64]| serde_json::to_string(ids).expect("numbers are JSON");
    let select = format!("SELECT {} {ACTIONS}", audit::COLUMNS);
    let values = (list(failed_messages), list(replays), id.as_str(), MAX_ENTRIES);
    operator_row::list_by(conn, &select, values, audit::read)
}
