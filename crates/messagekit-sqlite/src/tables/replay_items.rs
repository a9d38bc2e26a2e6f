//! The remaining events of a replay.

use messagekit::Error;
use messagekit::adapter::EventLinks;
use messagekit::operations::{EventFilter, StoredEvent};
use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

use super::event_links;
use super::stored_events::{self, Chosen, RECORDS};
use crate::error::from_sqlite;

/// An entry of the list, with its event; `None` when the event is no longer kept.
#[derive(Clone, Debug)]
pub(crate) struct Item {
    pub(crate) number: i64,
    pub(crate) position: i64,
    pub(crate) event: Option<StoredEvent>,
    pub(crate) links: EventLinks,
}

/// Stores the list of a replay and returns its length.
pub(crate) fn choose(conn: &Connection, job: i64, filter: &EventFilter) -> rusqlite::Result<usize> {
    let chosen = Chosen::of(filter);
    // By time, but never against the order inside a partition: the clock may have been set back.
    let insert = format!(
        "INSERT INTO messagekit_replay_items (job_id, number, pos)
         SELECT ?, row_number() OVER (ORDER BY at, pos), pos FROM
           (SELECT r.pos AS pos, max(r.created_at) OVER (PARTITION BY p.id ORDER BY r.pos) AS at
            FROM {RECORDS} WHERE {})",
        chosen.sql
    );
    let values = std::iter::once(Value::Integer(job)).chain(chosen.values);
    conn.prepare(&insert)?.execute(params_from_iter(values))
}

/// Returns the next entries.
pub(crate) fn next(conn: &Connection, job: i64, max: u32) -> Result<Vec<Item>, Error> {
    let places: Vec<(i64, i64)> = conn
        .prepare_cached(
            "SELECT number, pos FROM messagekit_replay_items WHERE job_id = ?1 ORDER BY number LIMIT ?2",
        )
        .and_then(|mut select| select.query_map((job, max), |row| Ok((row.get(0)?, row.get(1)?)))?.collect())
        .map_err(from_sqlite)?;
    places
        .into_iter()
        .map(|(number, position)| {
            let event = stored_events::at(conn, position)?;
            let links = event_links::of(conn, position)?;
            Ok(Item { number, position, event, links })
        })
        .collect()
}

/// Removes an entry; returns false when it is already removed.
pub(crate) fn take(conn: &Connection, job: i64, number: i64) -> rusqlite::Result<bool> {
    let taken = conn
        .prepare_cached("DELETE FROM messagekit_replay_items WHERE job_id = ?1 AND number = ?2")?
        .execute((job, number))?;
    Ok(taken == 1)
}

/// Deletes the rest of a list.
pub(crate) fn drop_all(conn: &Connection, job: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("DELETE FROM messagekit_replay_items WHERE job_id = ?1")?.execute([job]).map(drop)
}

/// Records that a record is a copy of another.
pub(crate) fn note_copy(conn: &Connection, copy: i64, original: i64) -> rusqlite::Result<()> {
    conn.prepare_cached("INSERT INTO messagekit_topic_copies (pos, original_pos) VALUES (?1, ?2)")?
        .execute((copy, original))
        .map(drop)
}
