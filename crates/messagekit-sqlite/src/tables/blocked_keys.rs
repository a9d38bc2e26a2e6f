//! Blocked keys.
//!
//! A key is blocked while an open failed message of it is parked. An index of those failed messages is the only record of
//! it; a separate table could contradict it. The first of them by partition and offset is the head, the only one that may
//! run. With one writer, the result of a statement stays true until the commit: no key needs a row lock, and no claim
//! reads twice.

use rusqlite::{Connection, OptionalExtension, Result};

/// The condition of failed messages that block keys: the exact text of their index, or SQLite does not use it.
pub(super) const PARKED: &str = "parked = 1 AND state NOT IN ('resolved', 'discarded')";

/// A key of a topic and a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct BlockedKey<'a> {
    pub(crate) consumer: i64,
    pub(crate) topic: &'a str,
    pub(crate) key: &'a [u8],
}

/// Returns a subquery for the head of a key, given the expressions of its consumer, topic and key.
pub(super) fn head_of(consumer: &str, topic: &str, key: &str) -> String {
    format!(
        "(SELECT id FROM messagekit_failed_messages INDEXED BY messagekit_failed_messages_key
          WHERE consumer_id = {consumer} AND topic = {topic} AND key = {key} AND {PARKED}
          ORDER BY partition, offset, id LIMIT 1)"
    )
}

/// Returns whether any key of the consumer is blocked.
pub(crate) fn any(conn: &Connection, consumer: i64) -> Result<bool> {
    Ok(count(conn, consumer, 1)? > 0)
}

/// Returns whether the key is blocked.
pub(crate) fn holds(conn: &Connection, key: BlockedKey<'_>) -> Result<bool> {
    Ok(count_of(conn, key, 1)? > 0)
}

/// Counts the failed messages that block keys of the consumer, up to `most`.
pub(super) fn count(conn: &Connection, consumer: i64, most: u32) -> Result<u32> {
    conn.prepare_cached(&count_sql())?.query_row((consumer, most), |row| row.get(0))
}

pub(super) fn count_sql() -> String {
    format!(
        "SELECT count(*) FROM (SELECT 1 FROM messagekit_failed_messages INDEXED BY messagekit_failed_messages_key
         WHERE consumer_id = ?1 AND {PARKED} LIMIT ?2)"
    )
}

/// Counts the failed messages that block the key, up to `most`.
pub(super) fn count_of(conn: &Connection, key: BlockedKey<'_>, most: u32) -> Result<u32> {
    let parameters = (key.consumer, key.topic, key.key, most);
    conn.prepare_cached(&count_of_sql())?.query_row(parameters, |row| row.get(0))
}

pub(super) fn count_of_sql() -> String {
    format!(
        "SELECT count(*) FROM (SELECT 1 FROM messagekit_failed_messages INDEXED BY messagekit_failed_messages_key
         WHERE consumer_id = ?1 AND topic = ?2 AND key = ?3 AND {PARKED} LIMIT ?4)"
    )
}

/// Returns whether the key has an open failed message before this position.
pub(super) fn is_before(conn: &Connection, key: BlockedKey<'_>, partition: i32, offset: i64) -> Result<bool> {
    let before = conn
        .prepare_cached(&is_before_sql())?
        .query_row((key.consumer, key.topic, key.key, partition, offset), |row| row.get(0))
        .optional()?;
    Ok(before.unwrap_or(false))
}

pub(super) fn is_before_sql() -> String {
    format!(
        "SELECT (partition, offset) < (?4, ?5) FROM messagekit_failed_messages WHERE id = {}",
        head_of("?1", "?2", "?3")
    )
}

/// Returns the SQL for the ids of the first failed messages behind another one of their key, with their state and size.
pub(super) fn behind_sql() -> &'static str {
    "SELECT d.id, d.state = 'blocked', length(d.payload)
     FROM messagekit_failed_messages first
     CROSS JOIN messagekit_failed_messages d INDEXED BY messagekit_failed_messages_key
     WHERE first.id = ?2 AND first.consumer_id = ?1
       AND d.consumer_id = ?1 AND d.topic = first.topic AND d.key = first.key
       AND d.parked = 1 AND d.state NOT IN ('resolved', 'discarded')
       AND (d.partition, d.offset, d.id) > (first.partition, first.offset, first.id)
     ORDER BY d.partition, d.offset, d.id LIMIT ?3"
}

/// Schedules the head of the key if it is blocked, and lets that many run alone from there. Call it after closing a
/// failed message of the key: without any left, the key is free.
pub(super) fn promote(conn: &Connection, key: BlockedKey<'_>, alone: u32, now: i64) -> Result<()> {
    conn.prepare_cached(&promote_sql())?.execute((key.consumer, key.topic, key.key, now, alone)).map(drop)
}

pub(super) fn promote_sql() -> String {
    format!(
        "UPDATE messagekit_failed_messages SET state = 'retry_scheduled', reason = 'key_freed', due = ?4, changed_at = ?4,
           alone = max(alone, ?5)
         WHERE id = {} AND state = 'blocked'",
        head_of("?1", "?2", "?3")
    )
}
