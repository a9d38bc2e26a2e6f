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
            "SELECT p.number, p.frontier, p.is_finished FROM messagekit_consumer_primings p
             JOIN messagekit_consumers c ON c.id = p.consumer_id WHERE c.name = ?1",
        )?
        .query_row([consumer], |row| Ok((row.get(0)?, row.get::<_, Option<i64>>(1)?, row.get(2)?)))
        .optional()
    };
    let Some((number, frontier, is_finished)) = read().map_err(from_sqlite)? else { return Ok(None) };
    Ok(Some(Priming { number, frontier: frontier.map(timestamp).transpose()?, is_finished }))
}

/// Begins the next priming of a consumer, unless another process has begun one; returns whether it has begun. Key lanes of primings have
/// the highest bit of an unsigned number.
pub(crate) fn begin(conn: &Connection, consumer: i64, after: u32) -> Result<bool> {
    let begin = "INSERT INTO messagekit_consumer_primings AS p (consumer_id, number) VALUES (?1, ?2 + 1)
         ON CONFLICT (consumer_id) DO UPDATE SET number = excluded.number, frontier = NULL, is_finished = 0
           WHERE p.number = ?2";
    if conn.prepare_cached(begin)?.execute((consumer, after))? == 0 {
        return Ok(false);
    }
    let delete = "DELETE FROM messagekit_consumer_offsets WHERE consumer_id = ?1 AND key_lane >= 0x80000000";
    conn.prepare_cached(delete)?.execute([consumer]).map(|_| true)
}

/// Writes what [`Priming::then`] returns. `max` of a NULL is NULL.
pub(crate) fn write(conn: &Connection, consumer: i64, priming: Priming) -> Result<()> {
    conn.prepare_cached(
        "UPDATE messagekit_consumer_primings
         SET frontier = max(coalesce(frontier, ?3), coalesce(?3, frontier)), is_finished = is_finished OR ?4
         WHERE consumer_id = ?1 AND number = ?2",
    )?
    .execute((consumer, priming.number, priming.frontier.map(micros_of), priming.is_finished))
    .map(drop)
}
