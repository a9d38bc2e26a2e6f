//! Names as small integers.

use rusqlite::{Connection, OptionalExtension, Result};

/// Returns the number of a consumer, or `None` when nothing was ever kept for it.
pub(crate) fn known_consumer(conn: &Connection, name: &str) -> Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM messagekit_consumers WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Returns the number of a consumer and makes one for a new name.
pub(crate) fn consumer(conn: &Connection, name: &str) -> Result<i64> {
    // Numbers are not remembered outside the file: a rollback would take back what the memory still holds.
    match known_consumer(conn, name)? {
        Some(id) => Ok(id),
        None => conn
            .prepare_cached("INSERT INTO messagekit_consumers (name) VALUES (?1) RETURNING id")?
            .query_row([name], |row| row.get(0)),
    }
}

/// A topic as its row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) id: i64,
    /// 0 when this file knows the name only.
    pub(crate) partitions: u32,
    /// A relay publishes it.
    pub(crate) leaves: bool,
}

/// Returns the row of a topic name, or `None` when the name was never seen.
pub(crate) fn known_topic(conn: &Connection, name: &str) -> Result<Option<Topic>> {
    conn.prepare_cached("SELECT id, partitions, leaves FROM messagekit_topics WHERE name = ?1")?
        .query_row([name], |row| Ok(Topic { id: row.get(0)?, partitions: row.get(1)?, leaves: row.get(2)? }))
        .optional()
}

/// Returns the row of a topic name and makes one for a new name; that does not make the topic.
pub(crate) fn topic(conn: &Connection, name: &str) -> Result<Topic> {
    match known_topic(conn, name)? {
        Some(topic) => Ok(topic),
        None => conn
            .prepare_cached("INSERT INTO messagekit_topics (name) VALUES (?1) RETURNING id")?
            .query_row([name], |row| Ok(Topic { id: row.get(0)?, partitions: 0, leaves: false })),
    }
}
