//! What consumers have passed over.

use std::sync::Arc;

use messagekit::adapter::{MOST_UNHANDLED_TYPES, UnhandledType};
use messagekit::operations::{MISSPELT_FOUND, UNHANDLED_LIMIT, UNHANDLED_SHOWN, UnhandledMessages};
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, Result};

use super::{micros, timestamp};
use crate::error::from_sqlite;

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
    let rows = || {
        conn.prepare_cached(
            "SELECT topic, event_type, similar_to, messages, first_at, last_at FROM messagekit_unhandled_types
             WHERE consumer_id = ?1 AND last_at > ?2
             ORDER BY similar_to = '[]', messages DESC, topic, event_type LIMIT ?3",
        )?
        .query_map((consumer, now - micros(UNHANDLED_SHOWN), UNHANDLED_LIMIT), Row::of)?
        .collect::<Result<Vec<Row>>>()
    };
    rows().map_err(from_sqlite)?.into_iter().map(Row::read).collect()
}

/// Returns what consumers have passed over and should perhaps have handled, with their names, most messages first.
pub(crate) fn misspelt(
    conn: &Connection,
    now: i64,
) -> std::result::Result<Vec<(String, UnhandledMessages)>, Error> {
    let rows = || {
        conn.prepare_cached(
            "SELECT u.topic, u.event_type, u.similar_to, u.messages, u.first_at, u.last_at, c.name
             FROM messagekit_unhandled_types u JOIN messagekit_consumers c ON c.id = u.consumer_id
             WHERE u.similar_to <> '[]' AND u.last_at > ?1
             ORDER BY u.messages DESC, c.name, u.topic, u.event_type LIMIT ?2",
        )?
        .query_map((now - micros(MISSPELT_FOUND), UNHANDLED_LIMIT), |row| Ok((row.get(6)?, Row::of(row)?)))?
        .collect::<Result<Vec<(String, Row)>>>()
    };
    let rows = rows().map_err(from_sqlite)?;
    rows.into_iter().map(|(consumer, row)| Ok((consumer, row.read()?))).collect()
}

struct Row {
    topic: Arc<str>,
    event_type: String,
    similar: String,
    messages: i64,
    times: (i64, i64),
}

impl Row {
    fn of(row: &rusqlite::Row<'_>) -> Result<Self> {
        Ok(Self {
            topic: row.get(0)?,
            event_type: row.get(1)?,
            similar: row.get(2)?,
            messages: row.get(3)?,
            times: (row.get(4)?, row.get(5)?),
        })
    }

    fn read(self) -> std::result::Result<UnhandledMessages, Error> {
        let unreadable = |error| {
            Error::new(ErrorKind::Corrupt, "stored list of similar types is unreadable").caused_by(error)
        };
        Ok(UnhandledMessages {
            topic: self.topic,
            event_type: self.event_type,
            similar: serde_json::from_str(&self.similar).map_err(unreadable)?,
            messages: self.messages.unsigned_abs(),
            first_at: timestamp(self.times.0)?,
            last_at: timestamp(self.times.1)?,
        })
    }
}
