//! Failures of this file's events at brokers and consumers.

use messagekit::MessageId;
use rusqlite::{Connection, Result};

/// Records a failure once per scope; returns false when the event is not in this file.
pub(crate) fn note(
    conn: &Connection,
    event: &MessageId,
    scope: &str,
    reason: &str,
    now: i64,
) -> Result<bool> {
    let ours = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messagekit_topic_records WHERE event_id = ?1)")?
        .query_row([event.as_str()], |row| row.get(0))?;
    if ours {
        conn.prepare_cached(
            "INSERT INTO messagekit_outbox_failures (event_id, scope, reason, failed_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute((event.as_str(), scope, reason, now))?;
    }
    Ok(ours)
}
