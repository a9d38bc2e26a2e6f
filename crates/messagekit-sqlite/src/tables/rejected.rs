//! Records that a broker rejected, and the records behind them.

use messagekit::relay::{RejectedEvent, Rejection};
use messagekit::{Error, chain};
use rusqlite::{Connection, OptionalExtension, Result};

use super::pending::{ENTRY, is_held};
use super::{operator_row, shards};

/// The most characters that are kept of an error.
const MOST_CHARACTERS: usize = 4_000;

/// Sets a record aside with the records of its topic and key behind it, and returns their number.
pub(crate) fn set_aside(conn: &Connection, name: &str, rejection: &Rejection, now: i64) -> Result<u64> {
    if !shards::holds(conn, name, rejection.lease, now)? {
        return Ok(0);
    }
    let entry = &rejection.entry;
    let head: Option<(i64, Option<i64>)> = conn
        .prepare_cached(&format!("SELECT topic_id, key_hash FROM messagekit_outbox_pending WHERE {ENTRY}"))?
        .query_row((entry.seq, rejection.lease.shard, entry.copy, entry.event_id.as_str()), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })
        .optional()?;
    let Some((topic, key_hash)) = head else { return Ok(0) };
    if rejection.error.is_none() && !is_held(conn, topic, key_hash, entry.seq)? {
        return Ok(0);
    }
    let error = rejection.error.as_ref().map(|error| {
        chain(error).chars().filter(|char| *char != '\0').take(MOST_CHARACTERS).collect::<String>()
    });
    let moved = "shard = ?1 AND topic_id = ?2 AND seq >= ?3 AND (seq = ?3 OR key_hash = ?4)";
    let key = (rejection.lease.shard, topic, entry.seq, key_hash);
    conn.prepare_cached(&format!(
        "INSERT INTO messagekit_outbox_rejected (seq, shard, topic_id, pos, key_hash, attempts, error, rejected_at)
         SELECT seq, shard, topic_id, pos, key_hash, attempts + (seq = ?3 AND ?5 IS NOT NULL),
           CASE WHEN seq = ?3 THEN ?5 END, ?6
         FROM messagekit_outbox_pending WHERE {moved} ORDER BY seq"
    ))?
    .execute((key.0, key.1, key.2, key.3, error, now))?;
    let gone =
        conn.prepare_cached(&format!("DELETE FROM messagekit_outbox_pending WHERE {moved}"))?.execute(key)?;
    Ok(gone as u64)
}

/// Returns the records that are set aside.
pub(crate) fn list(
    conn: &Connection,
    after: i64,
    limit: u32,
    with_waiting: bool,
) -> Result<Vec<RejectedEvent>, Error> {
    let select = "SELECT j.id, r.event_id, t.name AS topic, r.event_type, r.key, coalesce(length(r.payload), 0) AS payload_bytes,
           CASE WHEN j.error IS NULL THEN 0 ELSE j.attempts END AS attempts, j.error,
           coalesce(r.created_at, j.rejected_at) AS created_at, j.rejected_at,
           CASE WHEN j.error IS NULL THEN 0 ELSE (
             SELECT count(*) FROM messagekit_outbox_rejected b
             WHERE b.topic_id = j.topic_id AND b.key_hash = j.key_hash AND b.seq > j.seq AND b.error IS NULL) END AS behind
         FROM messagekit_outbox_rejected j
           LEFT JOIN messagekit_topics t ON t.id = j.topic_id
           LEFT JOIN messagekit_topic_records r ON r.pos = j.pos
         WHERE j.id > ?1 AND (j.error IS NOT NULL OR ?3) ORDER BY j.id LIMIT ?2";
    operator_row::list(conn, select, (after, limit, with_waiting))
}

/// A record that is set aside.
pub(crate) struct SetAsideRecord {
    pub(crate) shard: u16,
    seq: i64,
    topic: i64,
    key_hash: Option<i64>,
    /// A broker rejected it; otherwise it waits behind a rejected one.
    pub(crate) is_rejected: bool,
    pub(crate) event_id: Option<String>,
}

/// Returns a record by its number.
pub(crate) fn find(conn: &Connection, id: i64) -> Result<Option<SetAsideRecord>> {
    conn.prepare_cached(
        "SELECT shard, seq, topic_id, key_hash, error IS NOT NULL,
           (SELECT r.event_id FROM messagekit_topic_records r WHERE r.pos = j.pos)
         FROM messagekit_outbox_rejected j WHERE id = ?1",
    )?
    .query_row([id], |row| {
        Ok(SetAsideRecord {
            shard: row.get(0)?,
            seq: row.get(1)?,
            topic: row.get(2)?,
            key_hash: row.get(3)?,
            is_rejected: row.get(4)?,
            event_id: row.get(5)?,
        })
    })
    .optional()
}

/// Puts a record and all of its topic and key back, and returns their number.
pub(crate) fn put_back(conn: &Connection, record: &SetAsideRecord, now: i64) -> Result<u64> {
    back(conn, record, None, now)
}

/// Discards a record, puts back the records that wait for it alone, and returns their number.
pub(crate) fn discard(conn: &Connection, record: &SetAsideRecord, now: i64) -> Result<u64> {
    conn.prepare_cached("DELETE FROM messagekit_outbox_rejected WHERE seq = ?1 AND shard = ?2")?
        .execute((record.seq, record.shard))?;
    let next: Option<i64> = conn
        .prepare_cached(
            "SELECT min(seq) FROM messagekit_outbox_rejected
             WHERE topic_id = ?1 AND key_hash = ?2 AND error IS NOT NULL",
        )?
        .query_row((record.topic, record.key_hash), |row| row.get(0))?;
    back(conn, record, Some(next.unwrap_or(i64::MAX)), now)
}

/// Puts the records of a key back: all, or with an end only those that wait before it.
fn back(conn: &Connection, record: &SetAsideRecord, end: Option<i64>, now: i64) -> Result<u64> {
    let moved =
        "(seq = ?1 OR (topic_id = ?2 AND key_hash = ?3)) AND (?4 IS NULL OR (seq < ?4 AND error IS NULL))";
    let key = (record.seq, record.topic, record.key_hash, end);
    conn.prepare_cached(&format!(
        "INSERT INTO messagekit_outbox_pending (seq, shard, topic_id, pos, key_hash, attempts, ready_at)
         SELECT seq, shard, topic_id, pos, key_hash, attempts, ?5 FROM messagekit_outbox_rejected WHERE {moved}"
    ))?
    .execute((key.0, key.1, key.2, key.3, now))?;
    let back = conn
        .prepare_cached(&format!("DELETE FROM messagekit_outbox_rejected WHERE {moved}"))?
        .execute(key)?;
    Ok(back as u64)
}

/// Counts the rejected records, and the records behind them.
pub(crate) fn counts(conn: &Connection) -> Result<(u64, u64)> {
    conn.prepare_cached("SELECT count(error), count(*) - count(error) FROM messagekit_outbox_rejected")?
        .query_row([], |row| Ok((row.get::<_, i64>(0)?.unsigned_abs(), row.get::<_, i64>(1)?.unsigned_abs())))
}
