//! The listed part of a failed message: everything but headers and payload.

use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::stored_word;
use messagekit::operations::FailedMessageHead;
use messagekit::{Error, MessageId, Position};
use rusqlite::Row;

use super::timestamp;
use crate::error::from_sqlite;

/// The columns that [`read`] reads, of failed messages with the alias `d`. SQLite knows the length of a payload without
/// reading it.
pub(crate) const HEAD: &str = "d.id, d.message_id, d.topic, d.position_topic, d.partition, d.offset, d.key, d.event_type, \
    d.origin, d.return_to, d.state, d.reason, d.attempts, d.crash_count, d.due, d.kind, d.error, d.fingerprint, d.set_aside_at, \
    d.changed_at, d.parked, length(d.payload) AS payload_bytes, \
    CASE WHEN d.parked = 1 AND d.state NOT IN ('blocked', 'resolved', 'discarded') THEN \
      (SELECT count(*) - 1 FROM messagekit_failed_messages o INDEXED BY messagekit_failed_messages_key \
       WHERE o.consumer_id = d.consumer_id AND o.topic = d.topic AND o.key = d.key \
         AND o.parked = 1 AND o.state NOT IN ('resolved', 'discarded')) ELSE 0 END AS holds_back, \
    (SELECT name FROM messagekit_consumers WHERE id = d.consumer_id) AS consumer";

/// The columns unchanged.
struct Columns {
    id: i64,
    topic: Arc<str>,
    position_topic: Option<Arc<str>>,
    partition: Option<i32>,
    offset: Option<i64>,
    message_id: String,
    key: Option<Vec<u8>>,
    origin: String,
    state: String,
    reason: String,
    due: Option<i64>,
    set_aside_at: i64,
    changed_at: i64,
}

/// Reads the columns of [`HEAD`].
pub(crate) fn read(row: &Row<'_>) -> Result<FailedMessageHead, Error> {
    let columns = || -> rusqlite::Result<Columns> {
        Ok(Columns {
            id: row.get("id")?,
            topic: row.get("topic")?,
            position_topic: row.get("position_topic")?,
            partition: row.get("partition")?,
            offset: row.get("offset")?,
            message_id: row.get("message_id")?,
            key: row.get("key")?,
            origin: row.get("origin")?,
            state: row.get("state")?,
            reason: row.get("reason")?,
            due: row.get("due")?,
            set_aside_at: row.get("set_aside_at")?,
            changed_at: row.get("changed_at")?,
        })
    };
    let columns = columns().map_err(from_sqlite)?;
    let position = columns.partition.zip(columns.offset).map(|(partition, offset)| Position {
        topic: columns.position_topic.unwrap_or_else(|| columns.topic.clone()),
        partition,
        offset,
    });
    let text = |column: &str| row.get::<_, String>(column).map_err(from_sqlite);
    Ok(FailedMessageHead {
        id: columns.id,
        consumer: text("consumer")?,
        origin: stored_word(columns.id, "origin", &columns.origin)?,
        return_to: row.get("return_to").map_err(from_sqlite)?,
        message_id: MessageId::from_stored(&columns.message_id),
        topic: columns.topic,
        position,
        key: columns.key.map(Bytes::from),
        event_type: row.get("event_type").map_err(from_sqlite)?,
        state: stored_word(columns.id, "state", &columns.state)?,
        reason: stored_word(columns.id, "state reason", &columns.reason)?,
        attempts: row.get("attempts").map_err(from_sqlite)?,
        crash_count: row.get("crash_count").map_err(from_sqlite)?,
        due: columns.due.map(timestamp).transpose()?,
        kind: text("kind")?,
        error: text("error")?,
        fingerprint: text("fingerprint")?,
        set_aside_at: timestamp(columns.set_aside_at)?,
        changed_at: timestamp(columns.changed_at)?,
        parked: row.get("parked").map_err(from_sqlite)?,
        holds_back: row.get::<_, u32>("holds_back").map_err(from_sqlite)?.into(),
        payload_bytes: row.get::<_, u32>("payload_bytes").map_err(from_sqlite)?.into(),
    })
}
