//! The ids that tie events to others.

use std::borrow::Cow;
use std::collections::BTreeSet;

use bytes::Bytes;
use messagekit::adapter::{EventLinks, headers_from_json, headers_to_json};
use messagekit::operations::LinkedEvent;
use messagekit::{Error, Headers, Message, MessageId};
use rusqlite::{Connection, OptionalExtension, Result, Row};

use super::timestamp;
use crate::error::from_sqlite;

/// The columns that [`linked_of`] reads, of the record `r` with its topic `t` and its links `l`.
pub(crate) const LINKED: &str = "r.event_id, r.event_type, t.name, r.key, r.created_at, l.correlation_id, l.causation_id, \
    l.replay_of, r.pos";

/// The record of an event by its id. A copy has a row in the table of copies.
pub(crate) const BY_ID: &str = "FROM messagekit_topic_records r
     JOIN messagekit_topic_partitions p ON p.id = r.pos >> 40 JOIN messagekit_topics t ON t.id = p.topic_id
     LEFT JOIN messagekit_event_links l ON l.pos = r.pos
     WHERE r.event_id = ?1 AND NOT EXISTS (SELECT 1 FROM messagekit_topic_copies c WHERE c.pos = r.pos)
     ORDER BY r.pos LIMIT 1";

/// The records with a link, first ones first.
macro_rules! by_link {
    ($column:literal) => {
        concat!(
            "FROM messagekit_event_links l JOIN messagekit_topic_records r ON r.pos = l.pos
     JOIN messagekit_topic_partitions p ON p.id = l.pos >> 40 JOIN messagekit_topics t ON t.id = p.topic_id
     WHERE l.",
            $column,
            " = ?1 ORDER BY l.rowid LIMIT ?2"
        )
    };
}

pub(crate) const BY_CAUSATION: &str = by_link!("causation_id");
pub(crate) const BY_CORRELATION: &str = by_link!("correlation_id");
pub(crate) const BY_REPLAY: &str = by_link!("replay_of");

/// Returns a message as readers see it, and its links.
pub(crate) fn without(message: &Message) -> (Cow<'_, Message>, EventLinks) {
    if !message.headers.iter().any(|(name, _)| EventLinks::is_header(name)) {
        return (Cow::Borrowed(message), EventLinks::default());
    }
    let mut message = message.clone();
    let links = EventLinks::take(&mut message.headers);
    (Cow::Owned(message), links)
}

/// Encodes links for the row of a delayed event.
pub(crate) fn to_json(links: &EventLinks) -> std::result::Result<Option<String>, Error> {
    let mut headers = Headers::new();
    links.add_to(&mut headers);
    (!headers.is_empty()).then(|| headers_to_json(&headers)).transpose()
}

/// Decodes the links of a delayed event.
pub(crate) fn from_json(json: Option<&str>) -> std::result::Result<EventLinks, Error> {
    let headers = json.map(headers_from_json).transpose()?;
    Ok(headers.as_ref().map(EventLinks::of).unwrap_or_default())
}

/// Keeps the links of a record.
pub(crate) fn add(conn: &Connection, position: i64, links: &EventLinks) -> Result<()> {
    if links.is_empty() {
        return Ok(());
    }
    let text = |id: &Option<MessageId>| id.as_ref().map(|id| id.as_str().to_owned());
    conn.prepare_cached(
        "INSERT INTO messagekit_event_links (pos, correlation_id, causation_id, replay_of) VALUES (?1, ?2, ?3, ?4)",
    )?
    .execute((position, text(&links.correlation_id), text(&links.causation_id), text(&links.replay_of)))
    .map(drop)
}

/// Returns the links of a record.
pub(crate) fn of(conn: &Connection, position: i64) -> Result<EventLinks> {
    conn.prepare_cached(
        "SELECT correlation_id, causation_id, replay_of FROM messagekit_event_links WHERE pos = ?1",
    )?
    .query_row([position], |row| links_of(row, 0))
    .optional()
    .map(Option::unwrap_or_default)
}

/// Reads three columns of links.
pub(crate) fn links_of(row: &Row<'_>, first: usize) -> Result<EventLinks> {
    let id = |column: usize| {
        let text: Option<String> = row.get(column)?;
        Ok::<_, rusqlite::Error>(text.map(|text| MessageId::from_stored(&text)))
    };
    Ok(EventLinks { correlation_id: id(first)?, causation_id: id(first + 1)?, replay_of: id(first + 2)? })
}

/// Returns the event of an id.
pub(crate) fn by_id(conn: &Connection, id: &MessageId) -> std::result::Result<Option<LinkedEvent>, Error> {
    let mut select = conn.prepare_cached(&format!("SELECT {LINKED} {BY_ID}")).map_err(from_sqlite)?;
    let mut rows = select.query([id.as_str()]).map_err(from_sqlite)?;
    rows.next().map_err(from_sqlite)?.map(linked_of).transpose()
}

/// Returns events by one of their links.
pub(crate) fn by_link(
    conn: &Connection,
    records: &str,
    id: &MessageId,
    limit: u32,
) -> std::result::Result<Vec<LinkedEvent>, Error> {
    let mut select = conn.prepare_cached(&format!("SELECT {LINKED} {records}")).map_err(from_sqlite)?;
    let mut rows = select.query((id.as_str(), limit)).map_err(from_sqlite)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        events.push(linked_of(row)?);
    }
    Ok(events)
}

/// Returns events oldest first, each once, at most `limit`.
pub(crate) fn in_order(mut events: Vec<LinkedEvent>, limit: u32) -> Vec<LinkedEvent> {
    events.sort_by(|a, b| (a.created_at, &a.event_id).cmp(&(b.created_at, &b.event_id)));
    let mut seen = BTreeSet::new();
    events.retain(|event| seen.insert(event.event_id.clone()));
    events.truncate(limit as usize);
    events
}

fn linked_of(row: &Row<'_>) -> std::result::Result<LinkedEvent, Error> {
    let created_at = row.get(4).map_err(from_sqlite).and_then(timestamp)?;
    let read = || -> Result<LinkedEvent> {
        Ok(LinkedEvent {
            event_id: MessageId::from_stored(&row.get::<_, Option<String>>(0)?.unwrap_or_default()),
            event_type: row.get(1)?,
            topic: row.get(2)?,
            key: row.get::<_, Option<Vec<u8>>>(3)?.map(Bytes::from),
            created_at,
            links: links_of(row, 5)?,
        })
    };
    read().map_err(from_sqlite)
}
