//! Records of messages whose handler is running, to detect the message that crashes its process.

use messagekit::MessageId;
use rusqlite::{Connection, Result};

/// Records that a handler is about to run, and returns how many attempts of other runners have not ended.
pub(crate) fn note(conn: &Connection, consumer: i64, id: &MessageId, by: &str, now: i64) -> Result<u32> {
    conn.prepare_cached(
        "INSERT INTO messagekit_in_flight_attempts (consumer_id, message_id, runner, noted_at) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (consumer_id, message_id, runner) DO UPDATE SET noted_at = excluded.noted_at",
    )?
    .execute((consumer, id.as_str(), by, now))?;
    conn.prepare_cached(
        "SELECT count(*) FROM messagekit_in_flight_attempts
         WHERE consumer_id = ?1 AND message_id = ?2 AND runner <> ?3",
    )?
    .query_row((consumer, id.as_str(), by), |row| row.get(0))
}

/// Deletes all in-flight attempts of a message that was applied or set aside.
pub(crate) fn clear_attempts(conn: &Connection, consumer: i64, id: &MessageId) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM messagekit_in_flight_attempts WHERE consumer_id = ?1 AND message_id = ?2",
    )?
    .execute((consumer, id.as_str()))
    .map(drop)
}

/// Deletes the runner's own attempt, and keeps those of others.
pub(crate) fn withdraw_attempt(conn: &Connection, consumer: i64, id: &MessageId, by: &str) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM messagekit_in_flight_attempts WHERE consumer_id = ?1 AND message_id = ?2 AND runner = ?3",
    )?
    .execute((consumer, id.as_str(), by))
    .map(drop)
}

/// Deletes the attempts of messages that have a marker.
pub(crate) fn sweep(conn: &Connection, consumer: i64) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM messagekit_in_flight_attempts AS s WHERE consumer_id = ?1 AND EXISTS
           (SELECT 1 FROM messagekit_processed_messages p
            WHERE p.consumer_id = s.consumer_id AND p.message_id = s.message_id)",
    )?
    .execute([consumer])
    .map(drop)
}
