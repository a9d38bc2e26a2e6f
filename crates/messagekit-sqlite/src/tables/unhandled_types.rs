//! What consumers have passed over.

use messagekit::Error;
use messagekit::adapter::{MOST_UNHANDLED_TYPES, UnhandledType};
use messagekit::operations::{MISSPELT_FOUND, UNHANDLED_LIMIT, UNHANDLED_SHOWN, UnhandledMessages};
use rusqlite::{Connection, Result};

use super::{micros, operator_row};

/// Adds to the numbers of messages that a consumer has passed over.
pub(crate) fn note(conn: &Connection, consumer: i64, types: &[UnhandledType], now: i64) -> Result<()> {
    // Types of which no message has come for long make room for others.
    conn.prepare_cached("DELETE FROM messagekit_unhandled_types WHERE consumer_id = ?1 AND last_at <= ?2")?
        .execute((consumer, now - micros(UNHANDLED_SHOWN)))?;
    let mut note = conn.prepare_cached(
        "INSERT INTO messagekit_unhandled_types AS u
           (consumer_id, topic, event_type, similar_to, messages, first_at, last_at)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?6
         WHERE (SELECT count(*) FROM messagekit_unhandled_types WHERE consumer_id = ?1) < ?7
           OR EXISTS (SELECT 1 FROM messagekit_unhandled_types WHERE consumer_id = ?1 AND topic = ?2 AND event_type = ?3)
         ON CONFLICT (consumer_id, topic, event_type) DO UPDATE SET
           messages = u.messages + excluded.messages, similar_to = excluded.similar_to, last_at = excluded.last_at",
    )?;
    for noted in types {
        let similar = serde_json::Value::from(noted.similar.as_slice()).to_string();
        let messages = i64::try_from(noted.messages).unwrap_or(i64::MAX);
        note.execute((
            consumer,
            &noted.topic,
            &noted.event_type,
            similar,
            messages,
            now,
            MOST_UNHANDLED_TYPES,
        ))?;
    }
    Ok(())
}

/// Returns what a consumer has passed over: types that may be misspelt first, and then most messages first.
pub(super) fn of(
    conn: &Connection,
    consumer: i64,
    now: i64,
) -> std::result::Result<Vec<UnhandledMessages>, Error> {
    let select = "SELECT topic, event_type, similar_to AS similar, messages, first_at, last_at FROM messagekit_unhandled_types
         WHERE consumer_id = ?1 AND last_at > ?2
         ORDER BY similar_to = '[]', messages DESC, topic, event_type LIMIT ?3";
    operator_row::list(conn, select, (consumer, now - micros(UNHANDLED_SHOWN), UNHANDLED_LIMIT))
}

/// Returns what consumers have passed over and should perhaps have handled, with their names, most messages first.
pub(crate) fn misspelt(
    conn: &Connection,
    now: i64,
) -> std::result::Result<Vec<(String, UnhandledMessages)>, Error> {
    let select = "SELECT u.topic, u.event_type, u.similar_to AS similar, u.messages, u.first_at, u.last_at, c.name AS consumer
         FROM messagekit_unhandled_types u JOIN messagekit_consumers c ON c.id = u.consumer_id
         WHERE u.similar_to <> '[]' AND u.last_at > ?1
         ORDER BY u.messages DESC, c.name, u.topic, u.event_type LIMIT ?2";
    operator_row::list(conn, select, (now - micros(MISSPELT_FOUND), UNHANDLED_LIMIT))
}
