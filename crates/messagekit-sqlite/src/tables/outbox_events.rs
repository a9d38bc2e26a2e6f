//! All events of a file: the records of its topics, and then the delayed events.

use std::sync::Arc;

use messagekit::{Error, Message};
use rusqlite::Connection;

use super::stored_events::{Chosen, RECORDS};
use super::{delayed, read};
use crate::error::from_sqlite;

/// Returns the events in the order in which they were written.
pub(crate) fn all(conn: &Connection) -> Result<Vec<Message>, Error> {
    let chosen = Chosen::of(&messagekit::operations::EventFilter::default());
    let records = format!(
        "SELECT r.pos, r.event_id, r.event_type, r.key, r.content_type, r.traceparent, r.created_at, r.headers, r.payload, t.name
         FROM {RECORDS} WHERE {} ORDER BY r.created_at, r.pos",
        chosen.sql
    );
    let mut select = conn.prepare(&records).map_err(from_sqlite)?;
    let mut rows = select.query([]).map_err(from_sqlite)?;
    let mut events = Vec::new();
    while let Some(row) = rows.next().map_err(from_sqlite)? {
        let topic: Arc<str> = row.get(9).map_err(from_sqlite)?;
        events.push(read::stored(&topic, row)?.message);
    }
    events.extend(delayed::all(conn)?);
    Ok(events)
}
