//! Dead letters of brokers: failed events of this file, and redeliveries.

use std::time::Duration;

use messagekit::adapter::Redelivery;
use messagekit::operations::Origin;
use messagekit::{Error, MessageId};
use rusqlite::{Connection, Result};

use super::{micros, retries};
use crate::error::from_sqlite;

/// Records a failure once per scope; returns false when the event is not in this file.
pub(crate) fn note_failure(
    conn: &Connection,
    event: &MessageId,
    scope: &str,
    reason: &str,
    now: i64,
) -> Result<bool> {
    let ours = conn
        .prepare_cached("SELECT EXISTS (SELECT 1 FROM messagekit_topic_records WHERE event_id = ?1)")?
        .query_row([event.as_str()], |row| row.get(0))?;
    if ours {
        conn.prepare_cached(
            "INSERT INTO messagekit_outbox_failures (event_id, scope, reason, failed_at) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute((event.as_str(), scope, reason, now))?;
    }
    Ok(ours)
}

/// Returns whether a redelivery of this origin is due. This read takes no write lock.
pub(crate) fn is_return_due(conn: &Connection, origin: Origin, now: i64) -> Result<bool> {
    Ok(!due(conn, origin, 1, now)?.is_empty())
}

/// Leases the due redeliveries of an origin, for every scope, oldest first.
pub(crate) fn lease_returns(
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
