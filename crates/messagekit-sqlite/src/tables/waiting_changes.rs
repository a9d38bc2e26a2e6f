//! Changes that triggers of table sources have left, until they are records.

use std::path::Path;

use jiff::Timestamp;
use messagekit::{Error, Headers, Message, MessageId, headers};
use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row};
use serde_json::Value;

use super::append::{self, Appended};
use super::delayed;
use crate::error::from_sqlite;

/// The most changes that are appended in one transaction.
const MOST: u32 = 1_000;
/// The most bytes of rows that are read for one transaction, unless one row has more.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The Julian day of 1970.
const EPOCH: f64 = 2_440_587.5;
const MILLIS_OF_DAY: f64 = 86_400_000.0;

/// What became of changes that waited.
#[derive(Debug)]
pub(crate) struct Batch {
    pub(crate) appended: Appended,
    /// The number of the last of them.
    pub(crate) last: Option<i64>,
    /// More of them may wait.
    pub(crate) is_full: bool,
}

/// Returns the number of the last change that waits.
pub(crate) fn last(conn: &Connection) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached("SELECT max(number) FROM messagekit_waiting_changes")?.query_row([], |row| row.get(0))
}

/// Returns whether there is anything to append, or to clean up.
pub(crate) fn is_any(conn: &Connection) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messagekit_waiting_changes) OR EXISTS (SELECT 1 FROM messagekit_replaced_rows)",
    )?
    .query_row([], |row| row.get(0))
}

/// Appends changes to their topics, at most [`MOST`].
///
/// One that no topic can take is kept among the delayed events that are never due, so that it delays no other. Notes of replaced rows
/// mean nothing here, between two statements of the user, and are removed.
pub(crate) fn append(conn: &Connection, partitions_of_new: u32, now: i64) -> Result<Batch, Error> {
    let (last, is_full, messages) = read(conn).map_err(from_sqlite)?;
    let (fit, unfit): (Vec<_>, Vec<_>) = messages.into_iter().partition(|message| message.check().is_ok());
    delayed::keep_unfit(conn, &unfit)?;
    let clean_up = || {
        if last.is_some() {
            conn.prepare_cached("DELETE FROM messagekit_waiting_changes WHERE number <= ?1")?
                .execute([last])?;
        }
        conn.prepare_cached("DELETE FROM messagekit_replaced_rows")?.execute([])
    };
    clean_up().map_err(from_sqlite)?;
    Ok(Batch { appended: append::append(conn, &fit, partitions_of_new, now)?, last, is_full })
}

fn read(conn: &Connection) -> rusqlite::Result<(Option<i64>, bool, Vec<Message>)> {
    let source = source_of(conn);
    let mut select = conn.prepare_cached(
        "SELECT number, topic, event_type, source_table, key, row, changes, actor, coalesce(CAST(changed_at AS REAL), 0)
         FROM messagekit_waiting_changes ORDER BY number LIMIT ?1",
    )?;
    let mut rows = select.query([MOST])?;
    let (mut last, mut messages, mut bytes) = (None, Vec::new(), 0);
    while bytes < MOST_BYTES
        && let Some(row) = rows.next()?
    {
        let message = Change::read(row)?.into_message(&source);
        bytes += message.size();
        messages.push(message);
        last = Some(row.get(0)?);
    }
    let is_full = bytes >= MOST_BYTES || messages.len() == MOST as usize;
    Ok((last, is_full, messages))
}

/// Returns the name of the file without its ending.
fn source_of(conn: &Connection) -> String {
    let name = conn.path().and_then(|path| Path::new(path).file_stem()?.to_str());
    name.unwrap_or("sqlite").to_owned()
}

/// What a trigger has left. A row that another program has written has no topic that could take it.
struct Change {
    topic: String,
    event_type: String,
    table: String,
    key: Option<String>,
    row: Option<String>,
    changes: Option<String>,
    actor: Option<String>,
    changed_at: Timestamp,
}

impl Change {
    fn read(row: &Row<'_>) -> rusqlite::Result<Self> {
        let text = |index| row.get_ref(index).map(text);
        Ok(Self {
            topic: text(1)?.unwrap_or_default(),
            event_type: text(2)?.unwrap_or_default(),
            table: text(3)?.unwrap_or_default(),
            key: text(4)?,
            row: text(5)?,
            changes: text(6)?,
            actor: text(7)?,
            changed_at: time_of(row.get(8)?),
        })
    }

    fn into_message(self, source: &str) -> Message {
        let id = MessageId::new();
        let operation = match self.event_type.rsplit('.').next() {
            Some("inserted") => "insert",
            Some("deleted") => "delete",
            _ => "update",
        };
        let payload = self.envelope(&id, source);
        let mut headers = Headers::new();
        headers.set(headers::ID, id.as_str().to_owned());
        headers.set(headers::EVENT_TYPE, self.event_type);
        headers.set(headers::CONTENT_TYPE, headers::JSON);
        let free =
            [("op", Some(operation.to_owned())), ("sourceTable", Some(self.table)), ("actor", self.actor)];
        let free = free.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        headers.set_free(&free.collect());
        Message { topic: self.topic.into(), key: self.key.map(Into::into), headers, payload: payload.into() }
    }

    /// Writes the envelope around the row, which is JSON already.
    fn envelope(&self, id: &MessageId, source: &str) -> String {
        let json = |text: &str| Value::from(text).to_string();
        let mut envelope =
            format!("{{\"eventId\":{},\"eventType\":{}", json(id.as_str()), json(&self.event_type));
        if let Some(key) = &self.key {
            envelope.push_str(&format!(",\"aggregateId\":{}", json(key)));
        }
        envelope.push_str(&format!(
            ",\"occurredAt\":\"{}\",\"source\":{},\"dataVersion\":\"1.0\",\"row\":{}",
            self.changed_at,
            json(source),
            self.row.as_deref().unwrap_or("null")
        ));
        if let Some(changes) = &self.changes {
            envelope.push_str(&format!(",\"changes\":{changes}"));
        }
        envelope.push('}');
        envelope
    }
}

/// Text of SQLite may hold any bytes: for those that are no UTF-8 stands a question mark, which takes no more room than they.
fn text(value: ValueRef<'_>) -> Option<String> {
    match value {
        ValueRef::Null => None,
        ValueRef::Integer(number) => Some(number.to_string()),
        ValueRef::Real(number) => Some(number.to_string()),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            let mut text = String::with_capacity(bytes.len());
            for chunk in bytes.utf8_chunks() {
                text.push_str(chunk.valid());
                if !chunk.invalid().is_empty() {
                    text.push('?');
                }
            }
            Some(text)
        }
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "a time in milliseconds fits, and another one is out of range"
)]
fn time_of(day: f64) -> Timestamp {
    let millis = ((day - EPOCH) * MILLIS_OF_DAY).round() as i64;
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::UNIX_EPOCH)
}
