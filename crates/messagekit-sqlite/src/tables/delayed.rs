//! Events that are not due yet.

use std::sync::Arc;

use bytes::Bytes;
use messagekit::{Error, Message};
use rusqlite::{Connection, OptionalExtension, Row};

use super::append::{self, Appended};
use super::{columns, read};
use crate::error::from_sqlite;

/// How many events take their places in one transaction.
const MOST: u32 = 1_000;

/// Keeps messages until they are due.
pub(crate) fn keep(conn: &Connection, messages: &[Message], due: i64, now: i64) -> Result<(), Error> {
    messages.iter().try_for_each(Message::check)?;
    let mut insert = conn
        .prepare_cached(
            "INSERT INTO messagekit_outbox_delayed (due, topic, key, headers, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .map_err(from_sqlite)?;
    for message in messages {
        // The record will be younger than the event.
        let kept = columns::to_json(&read::timed(message.headers.clone(), now)?)?;
        insert
            .execute((due, &*message.topic, message.key.as_deref(), kept, &*message.payload))
            .map_err(from_sqlite)?;
    }
    Ok(())
}

/// Returns when the next event is due.
pub(crate) fn next(conn: &Connection) -> Result<Option<i64>, Error> {
    conn.prepare_cached("SELECT due FROM messagekit_outbox_delayed ORDER BY due LIMIT 1")
        .and_then(|mut select| select.query_row([], |row| row.get(0)).optional())
        .map_err(from_sqlite)
}

/// Appends what is due to its topics, and takes it from the list. Returns what was appended, at most [`MOST`].
pub(crate) fn append_due(conn: &Connection, partitions_of_new: u32, now: i64) -> Result<Appended, Error> {
    let mut delete = conn
        .prepare_cached(
            "DELETE FROM messagekit_outbox_delayed WHERE number IN (
               SELECT number FROM messagekit_outbox_delayed WHERE due <= ?1 ORDER BY due, number LIMIT ?2)
             RETURNING due, number, topic, key, headers, payload",
        )
        .map_err(from_sqlite)?;
    let mut rows = delete.query((now, MOST)).map_err(from_sqlite)?;
    let mut taken = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        taken.push(taken_of(row)?);
    }
    // RETURNING promises no order.
    taken.sort_unstable_by_key(|(order, _)| *order);
    let messages: Vec<Message> = taken.into_iter().map(|(_, message)| message).collect();
    append::append(conn, &messages, partitions_of_new, now)
}

fn taken_of(row: &Row<'_>) -> Result<((i64, i64), Message), Error> {
    let read = || {
        let order = (row.get(0)?, row.get(1)?);
        let (topic, key) = (row.get::<_, String>(2)?, row.get::<_, Option<Vec<u8>>>(3)?);
        Ok((order, topic, key, row.get::<_, String>(4)?, row.get::<_, Vec<u8>>(5)?))
    };
    let (order, topic, key, headers, payload) = read().map_err(from_sqlite)?;
    let message = Message {
        topic: Arc::from(topic),
        key: key.map(Bytes::from),
        headers: columns::from_json(&headers)?,
        payload: payload.into(),
    };
    Ok((order, message))
}
