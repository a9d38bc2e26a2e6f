//! The ids that tie events to others.

use std::borrow::Cow;
use std::collections::BTreeSet;

use messagekit::adapter::{EventLinks, headers_from_json, headers_to_json};
use messagekit::operations::LinkedEvent;
use messagekit::{Error, Headers, Message, MessageId};
use rusqlite::{Connection, Result};

use super::operator_row;

/// The columns of an event with its links, of the record `r` with its topic `t` and its links `l`.
pub(crate) const LINKED: &str = "coalesce(r.event_id, '') AS event_id, r.event_type, t.name AS topic, r.key, r.created_at, l.correlation_id, l.causation_id, \
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
pub(crate) fn of(conn: &Connection, position: i64) -> std::result::Result<EventLinks, Error> {
    let select = "SELECT correlation_id, causation_id, replay_of FROM messagekit_event_links WHERE pos = ?1";
    Ok(operator_row::list(conn, select, [position])?.pop().unwrap_or_default())
}

/// Returns the event of an id.
pub(crate) fn by_id(conn: &Connection, id: &MessageId) -> std::result::Result<Option<LinkedEvent>, Error> {
    Ok(operator_row::list(conn, &format!("SELECT {LINKED} {BY_ID}"), [id.as_str()])?.pop())
}

/// Returns events by one of their links.
pub(crate) fn by_link(
    conn: &Connection,
    records: &str,
    id: &MessageId,
    limit: u32,
) -> std::result::Result<Vec<LinkedEvent>, Error> {
    operator_row::list(conn, &format!("SELECT {LINKED} {records}"), (id.as_str(), limit))
}

/// Returns events oldest first, each once, at most `limit`.
pub(crate) fn in_order(mut events: Vec<LinkedEvent>, limit: u32) -> Vec<LinkedEvent> {
    events.sort_by(|a, b| (a.created_at, &a.event_id).cmp(&(b.created_at, &b.event_id)));
    let mut seen = BTreeSet::new();
    events.retain(|event| seen.insert(event.event_id.clone()));
    events.truncate(limit as usize);
    events
}
