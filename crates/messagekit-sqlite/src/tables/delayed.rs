//! Events that are not due yet.

use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::{headers_from_json, headers_to_json};
use messagekit::{Error, Message, chain, headers};
use rusqlite::{Connection, OptionalExtension, Row};

use super::append::{self, Appended};
use super::{event_links, read};
use crate::error::from_sqlite;

/// The most events that enter their topics in one transaction.
const MOST: u32 = 1_000;

/// The due time of an event that cannot be read.
pub(crate) const NEVER: i64 = i64::MAX;

/// Stores messages until they are due.
pub(crate) fn keep(conn: &Connection, messages: &[Message], due: i64, now: i64) -> Result<(), Error> {
    let mut insert = conn
        .prepare_cached(
            "INSERT INTO messagekit_outbox_delayed (due, topic, key, headers, payload, event_id, links)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )
        .map_err(from_sqlite)?;
    for message in messages {
        let (message, links) = event_links::without(message);
        message.check()?;
        // The record will be younger than the event.
        let kept = headers_to_json(&read::timed(message.headers.clone(), now)?)?;
        let links = event_links::to_json(&links)?;
        let id = message.headers.text(headers::ID);
        insert
            .execute((due, &*message.topic, message.key.as_deref(), kept, &*message.payload, id, links))
            .map_err(from_sqlite)?;
    }
    Ok(())
}

/// Stores messages that no topic can take, as events that are never due.
pub(crate) fn keep_unfit(conn: &Connection, messages: &[Message]) -> Result<(), Error> {
    let mut insert = conn
        .prepare_cached(
            "INSERT INTO messagekit_outbox_delayed (due, topic, key, headers, payload) VALUES (?1, ?2, ?3, ?4, ?5)",
        )
        .map_err(from_sqlite)?;
    for message in messages {
        let headers = headers_to_json(&message.headers)?;
        insert
            .execute((NEVER, &*message.topic, message.key.as_deref(), headers, &*message.payload))
            .map_err(from_sqlite)?;
        tracing::error!(
            topic = &*message.topic,
            "change of a table is no event that its topic can take, and is kept in messagekit_outbox_delayed"
        );
    }
    Ok(())
}

/// Returns when the next event is due.
pub(crate) fn next(conn: &Connection) -> Result<Option<i64>, Error> {
    conn.prepare_cached("SELECT due FROM messagekit_outbox_delayed WHERE due < ?1 ORDER BY due LIMIT 1")
        .and_then(|mut select| select.query_row([NEVER], |row| row.get(0)).optional())
        .map_err(from_sqlite)
}

/// Appends due events to their topics, and deletes them from the list. Returns the appended ones, at most [`MOST`].
///
/// An unreadable event stays on the list and is never due, so that it delays no other event.
pub(crate) fn append_due(conn: &Connection, partitions_of_new: u32, now: i64) -> Result<Appended, Error> {
    let mut select = conn
        .prepare_cached(
            "SELECT number, topic, key, headers, payload, links FROM messagekit_outbox_delayed
             WHERE due <= ?1 ORDER BY due, number LIMIT ?2",
        )
        .map_err(from_sqlite)?;
    let mut rows = select.query((now, MOST)).map_err(from_sqlite)?;
    let (mut numbers, mut messages) = (Vec::new(), Vec::new());
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let number: i64 = row.get(0).map_err(from_sqlite)?;
        let links: Option<String> = row.get(5).map_err(from_sqlite)?;
        match message_of(row, links.as_deref()) {
            Ok(message) => {
                numbers.push(number);
                messages.push(message);
            }
            Err(error) => set_aside(conn, number, &error)?,
        }
    }
    let mut delete = conn
        .prepare_cached("DELETE FROM messagekit_outbox_delayed WHERE number = ?1")
        .map_err(from_sqlite)?;
    for number in numbers {
        delete.execute([number]).map_err(from_sqlite)?;
    }
    append::append(conn, &messages, partitions_of_new, now)
}

/// Returns the readable events that are not due yet, the first due first.
pub(crate) fn all(conn: &Connection) -> Result<Vec<Message>, Error> {
    let mut select = conn
        .prepare_cached(
            "SELECT number, topic, key, headers, payload FROM messagekit_outbox_delayed WHERE due < ?1
             ORDER BY due, number",
        )
        .map_err(from_sqlite)?;
    let mut rows = select.query([NEVER]).map_err(from_sqlite)?;
    let mut messages = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        messages.push(message_of(row, None)?);
    }
    Ok(messages)
}

fn set_aside(conn: &Connection, number: i64, error: &Error) -> Result<(), Error> {
    tracing::error!(
        number,
        error = chain(error),
        "delayed event cannot be read and is never due any more: correct its row of messagekit_outbox_delayed and its time"
    );
    conn.prepare_cached("UPDATE messagekit_outbox_delayed SET due = ?2 WHERE number = ?1")
        .and_then(|mut update| update.execute((number, NEVER)))
        .map(drop)
        .map_err(from_sqlite)
}

/// Counts the events that cannot be read.
pub(crate) fn unreadable(conn: &Connection) -> rusqlite::Result<u64> {
    conn.prepare_cached("SELECT count(*) FROM messagekit_outbox_delayed WHERE due = ?1")?
        .query_row([NEVER], |row| row.get::<_, i64>(0))
        .map(i64::unsigned_abs)
}

fn message_of(row: &Row<'_>, links: Option<&str>) -> Result<Message, Error> {
    let read = || {
        let (topic, key) = (row.get::<_, String>(1)?, row.get::<_, Option<Vec<u8>>>(2)?);
        Ok((topic, key, row.get::<_, String>(3)?, row.get::<_, Vec<u8>>(4)?))
    };
    let (topic, key, headers, payload) = read().map_err(from_sqlite)?;
    let mut message = Message {
        topic: Arc::from(topic),
        key: key.map(Bytes::from),
        headers: headers_from_json(&headers)?,
        payload: payload.into(),
    };
    message.check()?;
    event_links::from_json(links)?.add_to(&mut message.headers);
    Ok(message)
}
