//! Which message is handled alone, and how many processes it has ended.

use messagekit::MessageId;
use rusqlite::{Connection, Result};

/// Notes that a message is about to be handled, and returns how many deaths are counted: a note that nobody has taken back
/// was the last thing its process did.
pub(crate) fn note(conn: &Connection, consumer: i64, id: &MessageId, now: i64) -> Result<u32> {
    conn.prepare_cached(
        "INSERT INTO messagekit_suspects AS s (consumer_id, message_id, running, noted_at) VALUES (?1, ?2, 1, ?3)
         ON CONFLICT (consumer_id, message_id) DO UPDATE
           SET deaths = s.deaths + s.running, running = 1, noted_at = excluded.noted_at
         RETURNING deaths",
    )?
    .query_row((consumer, id.as_str(), now), |row| row.get(0))
}

/// Forgets a message that was applied or set aside.
pub(crate) fn absolve(conn: &Connection, consumer: i64, id: &MessageId) -> Result<()> {
    conn.prepare_cached("DELETE FROM messagekit_suspects WHERE consumer_id = ?1 AND message_id = ?2")?
        .execute((consumer, id.as_str()))
        .map(drop)
}

/// Takes a note back; deaths that were counted before stay.
pub(crate) fn stand_down(conn: &Connection, consumer: i64, id: &MessageId) -> Result<()> {
    conn.prepare_cached(
        "UPDATE messagekit_suspects SET running = 0 WHERE consumer_id = ?1 AND message_id = ?2",
    )?
    .execute((consumer, id.as_str()))?;
    conn.prepare_cached(
        "DELETE FROM messagekit_suspects WHERE consumer_id = ?1 AND message_id = ?2 AND deaths = 0 AND running = 0",
    )?
    .execute((consumer, id.as_str()))
    .map(drop)
}

/// Forgets the messages that somebody has finished.
pub(crate) fn sweep(conn: &Connection, consumer: i64) -> Result<()> {
    conn.prepare_cached(
        "DELETE FROM messagekit_suspects AS s WHERE consumer_id = ?1 AND EXISTS
           (SELECT 1 FROM messagekit_processed_messages p
            WHERE p.consumer_id = s.consumer_id AND p.message_id = s.message_id)",
    )?
    .execute([consumer])
    .map(drop)
}
