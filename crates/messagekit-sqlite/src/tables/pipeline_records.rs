//! Records of defined topics as a pipeline settles them.

use std::sync::Arc;

use messagekit::Error;
use messagekit::adapter::RetryLease;
use rusqlite::{Connection, OptionalExtension, Result};

use super::handled_records::settle;
use super::processed::DONE;
use super::topic_records::defined;
use super::{names, record_ids, retries};
use crate::error::from_sqlite;

/// Marks those records as handled that the consumer has no marker of, and returns for each whether it was one.
pub(crate) fn handle_new(
    conn: &Connection,
    consumer: &str,
    topic: &Arc<str>,
    ids: &[i64],
    now: i64,
) -> std::result::Result<Vec<bool>, Error> {
    let own = defined(conn, topic)?;
    let consumer = names::consumer(conn, consumer).map_err(from_sqlite)?;
    let mut handled = Vec::with_capacity(ids.len());
    let mut handle = |id: &i64| {
        let pos = record_ids::position(conn, *id)?.filter(|(of, _)| *of == own.id).map(|(_, pos)| pos);
        let Some(pos) = pos else { return Ok(false) };
        let is_new = mark(conn, consumer, pos, now)?;
        handled.extend(is_new.then_some(pos));
        Ok(is_new)
    };
    let answers = ids.iter().map(&mut handle).collect::<Result<_>>().map_err(from_sqlite)?;
    settle(conn, consumer, &handled)?;
    Ok(answers)
}

/// Marks a record unless it has a marker or is deleted.
fn mark(conn: &Connection, consumer: i64, pos: i64, now: i64) -> Result<bool> {
    let marked = conn
        .prepare_cached(
            "INSERT INTO messagekit_processed_messages (consumer_id, message_id, outcome, processed_at)
             SELECT ?1, event_id, ?3, ?4 FROM messagekit_topic_records WHERE pos = ?2 AND event_id IS NOT NULL
             ON CONFLICT (consumer_id, message_id) DO NOTHING",
        )?
        .execute((consumer, pos, DONE, now))?;
    Ok(marked == 1)
}

/// Leases the failed message of a record, due or not. The lease ends at once: a caller that works alone needs no time of its own, and a
/// process that dies leaves nothing to wait for.
pub(crate) fn lease(
    conn: &Connection,
    consumer: &str,
    topic: &Arc<str>,
    id: i64,
    now: i64,
) -> std::result::Result<Option<RetryLease>, Error> {
    let own = defined(conn, topic)?;
    let find = || {
        let Some(consumer) = names::known_consumer(conn, consumer)? else { return Ok(None) };
        let Some((of, pos)) = record_ids::position(conn, id)? else { return Ok(None) };
        if of != own.id {
            return Ok(None);
        }
        conn.prepare_cached(
            "SELECT f.id FROM messagekit_topic_records r
             JOIN messagekit_failed_messages f ON f.consumer_id = ?1 AND f.message_id = r.event_id
             WHERE r.pos = ?2 AND f.origin = 'store' AND f.state IN ('retry_scheduled', 'retry_requested')",
        )?
        .query_row((consumer, pos), |row| row.get::<_, i64>(0))
        .optional()
    };
    let found = find().map_err(from_sqlite)?;
    found.map(|failed_message| retries::take(conn, failed_message, now, now)).transpose()
}
