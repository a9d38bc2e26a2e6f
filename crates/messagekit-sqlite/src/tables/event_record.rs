//! What the file knows of one event. Each statement reads rows of an index; none reads a payload.

use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::headers_from_json;
use messagekit::operations::{
    AuditRecord, ConsumerOutcome, EventDetail, EventFailure, EventHead, FailedMessageHead, MAX_ENTRIES,
    MarkerOutcome, Publication, PublicationState,
};
use messagekit::{Error, ErrorKind, MessageId, Position, headers};
use rusqlite::{Connection, Row};

use super::columns::Columns;
use super::failed_message_head::{self, HEAD};
use super::processed::outcome_of;
use super::{audit, event_links, timestamp, topics};
use crate::error::from_sqlite;

/// The first record of an id is the original. SQLite knows the length of a payload without reading it.
pub(crate) const EVENT: &str = "
SELECT r.pos, r.event_type, t.name, r.key, r.created_at, length(r.payload), r.content_type, r.traceparent, r.headers,
  (SELECT count(*) FROM messagekit_topic_copies c WHERE c.original_pos = r.pos), p.partition, r.event_id,
  l.correlation_id, l.causation_id, l.replay_of, q.attempts, q.ready_at, j.id, j.attempts, j.error, j.rejected_at
FROM messagekit_topic_records r
  JOIN messagekit_topic_partitions p ON p.id = r.pos >> 40
  JOIN messagekit_topics t ON t.id = p.topic_id AND t.partitions > 0
  LEFT JOIN messagekit_event_links l ON l.pos = r.pos
  LEFT JOIN messagekit_outbox_pending q ON q.pos = r.pos
  LEFT JOIN messagekit_outbox_rejected j ON j.pos = r.pos
WHERE r.event_id = ?1 AND NOT EXISTS (SELECT 1 FROM messagekit_topic_copies c WHERE c.pos = r.pos)
ORDER BY r.pos LIMIT 1";

pub(crate) const DELAYED: &str = "
SELECT due, topic, key, headers, length(payload), links FROM messagekit_outbox_delayed WHERE event_id = ?1 ORDER BY number LIMIT 1";

/// One look for each consumer.
pub(crate) const OUTCOMES: &str = "
SELECT n.name, m.outcome, m.processed_at, (SELECT count(*) FROM messagekit_in_flight_attempts a
    WHERE a.consumer_id = n.id AND a.message_id = ?1)
FROM messagekit_consumers n
  CROSS JOIN messagekit_processed_messages m ON m.consumer_id = n.id AND m.message_id = ?1
ORDER BY n.name LIMIT ?2";

pub(crate) const FAILED_MESSAGES: &str = "
FROM messagekit_consumers n
  CROSS JOIN messagekit_failed_messages d ON d.consumer_id = n.id AND d.message_id = ?1
ORDER BY d.id DESC LIMIT ?2";

pub(crate) const FAILURES: &str = "
SELECT scope, reason, failed_at FROM messagekit_outbox_failures WHERE event_id = ?1 ORDER BY scope LIMIT ?2";

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
    let mut select = conn.prepare_cached(EVENT).map_err(from_sqlite)?;
    let mut rows = select.query([id.as_str()]).map_err(from_sqlite)?;
    if let Some(row) = rows.next().map_err(from_sqlite)? {
        return detail_of(row, id).map(Some);
    }
    let mut select = conn.prepare_cached(DELAYED).map_err(from_sqlite)?;
    let mut rows = select.query([id.as_str()]).map_err(from_sqlite)?;
    rows.next().map_err(from_sqlite)?.map(|row| delayed_of(row, id)).transpose()
}

fn detail_of(row: &Row<'_>, id: &MessageId) -> Result<EventDetail, Error> {
    let time = |column: usize| {
        let micros: Option<i64> = row.get(column).map_err(from_sqlite)?;
        micros.map(timestamp).transpose()
    };
    let (since, rejected_at) = (time(16)?, time(20)?);
    let created_at = time(4)?.ok_or_else(|| Error::new(ErrorKind::Corrupt, "stored record has no time"))?;
    let read = || -> rusqlite::Result<_> {
        let publication = match (rejected_at, since) {
            (at @ Some(_), _) => Publication {
                state: PublicationState::Rejected,
                at,
                attempts: row.get(18)?,
                rejected: row.get(17)?,
                error: row.get(19)?,
            },
            (None, Some(since)) => Publication::pending(row.get(15)?, since),
            (None, None) => Publication::published(),
        };
        let topic: Arc<str> = row.get(2)?;
        let columns =
            Columns { known: [row.get(11)?, row.get(1)?, row.get(6)?, row.get(7)?], rest: row.get(8)? };
        let position =
            Position { topic: topic.clone(), partition: row.get(10)?, offset: topics::offset(row.get(0)?) };
        let head = EventHead {
            event_id: id.clone(),
            event_type: row.get(1)?,
            topic,
            key: row.get::<_, Option<Vec<u8>>>(3)?.map(Bytes::from),
            copies: row.get(9)?,
            created_at,
            payload_bytes: row.get::<_, u32>(5)?.into(),
        };
        Ok((head, columns, position, event_links::links_of(row, 12)?, publication))
    };
    let (head, columns, position, links, publication) = read().map_err(from_sqlite)?;
    Ok(EventDetail { head, headers: columns.into_headers()?, links, position: Some(position), publication })
}

fn delayed_of(row: &Row<'_>, id: &MessageId) -> Result<EventDetail, Error> {
    let due = row.get(0).map_err(from_sqlite).and_then(timestamp)?;
    let read = || {
        let (topic, key) = (row.get::<_, Arc<str>>(1)?, row.get::<_, Option<Vec<u8>>>(2)?);
        Ok((topic, key, row.get::<_, String>(3)?, row.get::<_, u32>(4)?, row.get::<_, Option<String>>(5)?))
    };
    let (topic, key, json, payload_bytes, links) = read().map_err(from_sqlite)?;
    let kept = headers_from_json(&json)?;
    let links = event_links::from_json(links.as_deref())?;
    let created_at = kept.text(headers::CREATED_AT).and_then(|time| time.parse().ok()).unwrap_or(due);
    let head = EventHead {
        event_id: id.clone(),
        event_type: kept.text(headers::EVENT_TYPE).map(str::to_owned),
        topic,
        key: key.map(Bytes::from),
        copies: 0,
        created_at,
        payload_bytes: payload_bytes.into(),
    };
    Ok(EventDetail { head, headers: kept, links, position: None, publication: Publication::delayed(due) })
}

/// Returns the marker of each consumer.
pub(crate) fn outcomes(conn: &Connection, id: &MessageId) -> Result<Vec<ConsumerOutcome>, Error> {
    let mut select = conn.prepare_cached(OUTCOMES).map_err(from_sqlite)?;
    let mut rows = select.query((id.as_str(), MAX_ENTRIES)).map_err(from_sqlite)?;
    let mut outcomes = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let processed_at = row.get(2).map_err(from_sqlite).and_then(timestamp)?;
        let read = || -> rusqlite::Result<ConsumerOutcome> {
            Ok(ConsumerOutcome {
                consumer: row.get(0)?,
                outcome: outcome_of(row.get(1)?).unwrap_or(MarkerOutcome::Done),
                processed_at,
                in_flight_attempts: row.get(3)?,
            })
        };
        outcomes.push(read().map_err(from_sqlite)?);
    }
    Ok(outcomes)
}

/// Returns its failed messages, newest first.
pub(crate) fn failed_messages(conn: &Connection, id: &MessageId) -> Result<Vec<FailedMessageHead>, Error> {
    let mut select = conn.prepare_cached(&format!("SELECT {HEAD} {FAILED_MESSAGES}")).map_err(from_sqlite)?;
    let mut rows = select.query((id.as_str(), MAX_ENTRIES)).map_err(from_sqlite)?;
    let mut heads = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        heads.push(failed_message_head::read(row)?);
    }
    Ok(heads)
}

/// Returns where it failed elsewhere.
pub(crate) fn failures(conn: &Connection, id: &MessageId) -> Result<Vec<EventFailure>, Error> {
    let mut select = conn.prepare_cached(FAILURES).map_err(from_sqlite)?;
    let mut rows = select.query((id.as_str(), MAX_ENTRIES)).map_err(from_sqlite)?;
    let mut failures = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let at = row.get(2).map_err(from_sqlite).and_then(timestamp)?;
        let text = |column: usize| row.get(column).map_err(from_sqlite);
        failures.push(EventFailure { consumer: text(0)?, reason: text(1)?, at });
    }
    Ok(failures)
}

/// Returns the actions on failed messages, on replays, and on the event, newest first.
pub(crate) fn actions(
    conn: &Connection,
    failed_messages: &[i64],
    replays: &[i64],
    id: &MessageId,
) -> Result<Vec<AuditRecord>, Error> {
    let list = |ids: &[i64]| serde_json::to_string(ids).expect("numbers are JSON");
    let text = format!("SELECT {} {ACTIONS}", audit::COLUMNS);
    let mut select = conn.prepare_cached(&text).map_err(from_sqlite)?;
    let values = (list(failed_messages), list(replays), id.as_str(), MAX_ENTRIES);
    let mut rows = select.query(values).map_err(from_sqlite)?;
    let mut actions = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        actions.push(audit::read(row)?);
    }
    Ok(actions)
}
