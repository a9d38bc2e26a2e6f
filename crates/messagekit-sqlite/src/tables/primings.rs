//! How far consumers are primed.

use messagekit::Error;
use messagekit::adapter::Priming;
use rusqlite::{Connection, OptionalExtension, Result};

use super::{micros_of, timestamp};
use crate::error::from_sqlite;

/// Returns how far a consumer is primed.
pub(crate) fn priming(conn: &Connection, consumer: &str) -> std::result::Result<Option<Priming>, Error> {
    let read = || {
        conn.prepare_cached(
            "SELECT p.frontier, p.is_finished FROM messagekit_consumer_primings p
             JOIN messagekit_consumers c ON c.id = p.consumer_id WHERE c.name = ?1",
        )?
        .query_row([consumer], |row| Ok((row.get::<_, Option<i64>>(0)?, row.get(1)?)))
        .optional()
    };
    let Some((frontier, is_finished)) = read().map_err(from_sqlite)? else { return Ok(None) };
    Ok(Some(Priming { frontier: frontier.map(timestamp).transpose()?, is_finished }))
}

/// Writes what [`Priming::then`] returns. `max` of a NULL is NULL.
pub(crate) fn write(conn: &Connection, consumer: i64, priming: Priming) -> Result<()> {
    conn.prepare_cached(
        "INSERT INTO messagekit_consumer_primings AS p (consumer_id, frontier, is_finished) VALUES (?1, ?2, ?3)
         ON CONFLICT (consumer_id) DO UPDATE SET
           frontier = CASE WHEN excluded.frontier IS NOT NULL OR excluded.is_finished
             THEN max(coalesce(p.frontier, excluded.frontier), coalesce(excluded.frontier, p.frontier)) END,
           is_finished = excluded.is_finished OR p.is_finished AND excluded.frontier IS NOT NULL",
    )?
    .execute((consumer, priming.frontier.map(micros_of), priming.is_finished))
    .map(drop)
}
