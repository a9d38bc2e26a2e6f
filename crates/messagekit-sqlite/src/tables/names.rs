//! Names as small integers.

use messagekit_topic_store::RetentionRule;
use rusqlite::{Connection, OptionalExtension, Result};

use super::retention_rule;

/// Returns the number of a consumer, or `None` when the file has no rows of it.
pub(crate) fn known_consumer(conn: &Connection, name: &str) -> Result<Option<i64>> {
    conn.prepare_cached("SELECT id FROM messagekit_consumers WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()
}

/// Returns the number of a consumer; creates one for a new name.
pub(crate) fn consumer(conn: &Connection, name: &str) -> Result<i64> {
    // Numbers are not cached outside the file: a rollback would remove numbers that the cache still holds.
    match known_consumer(conn, name)? {
        Some(id) => Ok(id),
        None => conn
            .prepare_cached("INSERT INTO messagekit_consumers (name) VALUES (?1) RETURNING id")?
            .query_row([name], |row| row.get(0)),
    }
}

/// The row of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) id: i64,
    /// 0 when this file holds only the name.
    pub(crate) partitions: u32,
    /// A relay publishes it.
    pub(crate) leaves: bool,
    /// The version of its definition, if it has one, and its records have ids.
    pub(crate) version: Option<u32>,
    pub(crate) retention: Option<RetentionRule>,
}

/// Returns the row of a topic name, or `None` for an unknown name.
pub(crate) fn known_topic(conn: &Connection, name: &str) -> Result<Option<Topic>> {
    conn.prepare_cached(
        "SELECT t.id, t.partitions, t.leaves, d.version, d.max_age, d.max_bytes, coalesce(d.keep_unhandled, 0), d.unhandled_max_age
         FROM messagekit_topics t LEFT JOIN messagekit_topic_definitions d ON d.topic_id = t.id WHERE t.name = ?1",
    )?
    .query_row([name], |row| {
        let (id, partitions, leaves) = (row.get(0)?, row.get(1)?, row.get(2)?);
        Ok(Topic { id, partitions, leaves, version: row.get(3)?, retention: retention_rule::read(row, 4)? })
    })
    .optional()
}

/// Returns the row of a topic name. Creates one for a new name, which does not create the topic.
pub(crate) fn topic(conn: &Connection, name: &str) -> Result<Topic> {
    match known_topic(conn, name)? {
        Some(topic) => Ok(topic),
        None => conn
            .prepare_cached("INSERT INTO messagekit_topics (name) VALUES (?1) RETURNING id")?
            .query_row([name], |row| {
                let id = row.get(0)?;
                Ok(Topic { id, partitions: 0, leaves: false, version: None, retention: None })
            }),
    }
}
