//! Records that no broker has confirmed, and events that are not due.

use messagekit::adapter::{OperatorRow, headers_from_json};
use messagekit::operations::UnpublishedEvent;
use messagekit::{Error, MessageId, headers};
use rusqlite::Connection;

use super::operator_row::{self, SqliteRow};

/// In the order of commits.
pub(crate) const PENDING: &str = "
SELECT coalesce(r.event_id, '') AS event_id, r.event_type, t.name AS topic, r.key, q.attempts, q.ready_at, 0 AS is_delayed
FROM messagekit_outbox_pending q
  JOIN messagekit_topic_records r ON r.pos = q.pos JOIN messagekit_topics t ON t.id = q.topic_id
ORDER BY q.seq LIMIT ?1";

pub(crate) const DELAYED: &str = "
SELECT headers, topic, key, due FROM messagekit_outbox_delayed ORDER BY due, number LIMIT ?1";

/// Returns pending records, and then delayed events.
pub(crate) fn list(conn: &Connection, limit: u32) -> Result<Vec<UnpublishedEvent>, Error> {
    let mut events: Vec<UnpublishedEvent> = operator_row::list(conn, PENDING, [limit])?;
    let rest = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
    // An unreadable one is never due, and the health of the outbox names it.
    let delayed = operator_row::list_by(conn, DELAYED, [rest], |row| Ok(delayed_of(row).ok()))?;
    events.extend(delayed.into_iter().flatten());
    Ok(events)
}

fn delayed_of(row: &SqliteRow<'_>) -> Result<UnpublishedEvent, Error> {
    let kept = headers_from_json(row.get::<String>("headers")?)?;
    Ok(UnpublishedEvent {
        event_id: MessageId::from_stored(kept.text(headers::ID).unwrap_or_default()),
        event_type: kept.text(headers::EVENT_TYPE).map(str::to_owned),
        topic: row.get("topic")?,
        key: row.get("key")?,
        attempts: 0,
        ready_at: row.get("due")?,
        is_delayed: true,
    })
}
