//! Records that no broker has confirmed, and events that are not due.

use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::headers_from_json;
use messagekit::operations::UnpublishedEvent;
use messagekit::{Error, MessageId, headers};
use rusqlite::{Connection, Row};

use super::timestamp;
use crate::error::from_sqlite;

/// In the order of commits.
pub(crate) const PENDING: &str = "
SELECT r.event_id, r.event_type, t.name, r.key, q.attempts, q.ready_at
FROM messagekit_outbox_pending q
  JOIN messagekit_topic_records r ON r.pos = q.pos JOIN messagekit_topics t ON t.id = q.topic_id
ORDER BY q.seq LIMIT ?1";

pub(crate) const DELAYED: &str = "
SELECT headers, topic, key, due FROM messagekit_outbox_delayed ORDER BY due, number LIMIT ?1";

/// Returns pending records, and then delayed events.
pub(crate) fn list(conn: &Connection, limit: u32) -> Result<Vec<UnpublishedEvent>, Error> {
    let mut events = Vec::new();
    let mut select = conn.prepare_cached(PENDING).map_err(from_sqlite)?;
    let mut rows = select.query([limit]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        events.push(pending_of(row)?);
    }
    let rest = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
    let mut select = conn.prepare_cached(DELAYED).map_err(from_sqlite)?;
    let mut rows = select.query([rest]).map_err(from_sqlite)?;
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        // An unreadable one is never due, and the health of the outbox names it.
        events.extend(delayed_of(row).ok());
    }
    Ok(events)
}

fn pending_of(row: &Row<'_>) -> Result<UnpublishedEvent, Error> {
    let ready_at = row.get(5).map_err(from_sqlite).and_then(timestamp)?;
    let read = || -> rusqlite::Result<UnpublishedEvent> {
        Ok(UnpublishedEvent {
            event_id: MessageId::from_stored(&row.get::<_, Option<String>>(0)?.unwrap_or_default()),
            event_type: row.get(1)?,
            topic: row.get(2)?,
            key: row.get::<_, Option<Vec<u8>>>(3)?.map(Bytes::from),
            attempts: row.get(4)?,
            ready_at,
            is_delayed: false,
        })
    };
    read().map_err(from_sqlite)
}

fn delayed_of(row: &Row<'_>) -> Result<UnpublishedEvent, Error> {
    let ready_at = row.get(3).map_err(from_sqlite).and_then(timestamp)?;
    let read = || -> rusqlite::Result<(String, Arc<str>, Option<Vec<u8>>)> {
        Ok((row.get(0)?, row.get(1)?, row.get(2)?))
    };
    let (json, topic, key) = read().map_err(from_sqlite)?;
    let kept = headers_from_json(&json)?;
    Ok(UnpublishedEvent {
        event_id: MessageId::from_stored(kept.text(headers::ID).unwrap_or_default()),
        event_type: kept.text(headers::EVENT_TYPE).map(str::to_owned),
        topic,
        key: key.map(Bytes::from),
        attempts: 0,
        ready_at,
        is_delayed: true,
    })
}
