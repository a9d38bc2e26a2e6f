//! Failed messages that are redelivered by their broker.

use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::Redelivery;
use messagekit::operations::Origin;
use rusqlite::{Connection, Result};

use super::{micros, retries};
use crate::error::from_sqlite;

/// Returns whether a redelivery of this origin is due. This read takes no write lock.
pub(crate) fn any_due(conn: &Connection, origin: Origin, now: i64) -> Result<bool> {
    Ok(!due(conn, origin, 1, now)?.is_empty())
}

/// Leases the due redeliveries of an origin, for every scope, oldest first.
pub(crate) fn lease(
    conn: &Connection,
    origin: Origin,
    max: u32,
    lease: Duration,
    now: i64,
) -> std::result::Result<Vec<Redelivery>, Error> {
    let until = now.saturating_add(micros(lease));
    due(conn, origin, max, now)
        .map_err(from_sqlite)?
        .into_iter()
        .map(|(id, scope, return_to)| {
            Ok(Redelivery { scope, origin, return_to, leased: retries::take(conn, id, until, now)? })
        })
        .collect()
}

fn due(conn: &Connection, origin: Origin, max: u32, now: i64) -> Result<Vec<(i64, String, String)>> {
    conn.prepare_cached(
        "SELECT d.id, c.name, d.return_to
         FROM messagekit_failed_messages d JOIN messagekit_consumers c ON c.id = d.consumer_id
         WHERE d.origin = ?1 AND d.origin <> 'store' AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= ?2
           AND d.return_to IS NOT NULL
         ORDER BY d.due, d.id LIMIT ?3",
    )?
    .query_map((origin.as_str(), now, max), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?
    .collect()
}
