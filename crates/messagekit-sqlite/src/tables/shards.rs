//! The relays that own the shards. The time of a lease stands in `messagekit_relay_members`, the owner of a shard in
//! `messagekit_relay_shards`.

use messagekit::relay::{LONGEST_LEASE, Leases, SHARDS, ShardLease};
use messagekit::{Error, ErrorKind};
use rusqlite::{Connection, OptionalExtension, Result};

use super::{count, micros};
use crate::error::from_sqlite;

/// How long the row of a dead relay is kept.
const REMEMBERED: i64 = 3_600 * 1_000_000;

/// Renews a relay's lease until a time and takes shards without a live owner, up to its fair share.
pub(crate) fn lease(conn: &Connection, name: &str, until: i64, now: i64) -> Result<Leases, Error> {
    if !any_topic_leaves(conn).map_err(from_sqlite)? {
        let text = "no topic leaves this file: name those that do with `SqliteOptions::relayed_topics` where it is opened";
        return Err(Error::new(ErrorKind::Schema, text));
    }
    renew_and_take(conn, name, until, now).map_err(from_sqlite)
}

/// Returns whether there is work for a relay, now or later.
pub(crate) fn any_topic_leaves(conn: &Connection) -> Result<bool> {
    // Records that were pending when the last topic became local are still published.
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messagekit_topics WHERE leaves = 1)
           OR EXISTS (SELECT 1 FROM messagekit_outbox_pending) OR EXISTS (SELECT 1 FROM messagekit_outbox_rejected)",
    )?
    .query_row([], |row| row.get(0))
}

fn renew_and_take(conn: &Connection, name: &str, until: i64, now: i64) -> Result<Leases> {
    conn.prepare_cached(
        "INSERT INTO messagekit_relay_members (name, until) VALUES (?1, ?2)
         ON CONFLICT (name) DO UPDATE SET until = excluded.until",
    )?
    .execute((name, until))?;
    conn.prepare_cached("DELETE FROM messagekit_relay_members WHERE until < ?1")?
        .execute([now - REMEMBERED])?;
    let latest = latest(now);
    let others: u32 = conn
        .prepare_cached(
            "SELECT count(*) FROM messagekit_relay_members WHERE name <> ?1 AND until > ?2 AND until <= ?3",
        )?
        .query_row((name, now, latest), |row| row.get(0))?;
    let share = u32::from(SHARDS).div_ceil(1 + others) as usize;
    let held = held(conn, name)?;
    conn.prepare_cached(
        "UPDATE messagekit_relay_shards SET owner = ?1, epoch = epoch + 1 WHERE shard IN (
           SELECT s.shard FROM messagekit_relay_shards s
           WHERE s.owner IS NOT ?1 AND NOT EXISTS (
             SELECT 1 FROM messagekit_relay_members m WHERE m.name = s.owner AND m.until > ?2 AND m.until <= ?4)
           ORDER BY s.shard LIMIT ?3)",
    )?
    .execute((name, now, count(share.saturating_sub(held.len())), latest))?;
    let held = self::held(conn, name)?;
    Ok(Leases { surplus: held.len().saturating_sub(share), held })
}

fn held(conn: &Connection, name: &str) -> Result<Vec<ShardLease>> {
    conn.prepare_cached("SELECT shard, epoch FROM messagekit_relay_shards WHERE owner = ?1 ORDER BY shard")?
        .query_map([name], |row| Ok(ShardLease { shard: row.get(0)?, epoch: row.get(1)? }))?
        .collect()
}

/// Releases shards.
pub(crate) fn hand_over(conn: &Connection, name: &str, leases: &[ShardLease]) -> Result<()> {
    let mut free = conn.prepare_cached(
        "UPDATE messagekit_relay_shards SET owner = NULL WHERE shard = ?2 AND epoch = ?3 AND owner = ?1",
    )?;
    leases.iter().try_for_each(|lease| free.execute((name, lease.shard, lease.epoch)).map(drop))
}

/// Releases every shard of a relay and removes its membership.
pub(crate) fn leave(conn: &Connection, name: &str) -> Result<()> {
    conn.prepare_cached("DELETE FROM messagekit_relay_members WHERE name = ?1")?.execute([name])?;
    conn.prepare_cached("UPDATE messagekit_relay_shards SET owner = NULL WHERE owner = ?1")?
        .execute([name])
        .map(drop)
}

/// Returns the latest end that a lease of a relay can have now. A later one is of a clock that has been set back since, and is
/// not renewed: a relay that lives has the present clock.
fn latest(now: i64) -> i64 {
    now.saturating_add(micros(LONGEST_LEASE))
}

/// Returns whether this relay owns a shard under the epoch, with a valid lease.
pub(crate) fn holds(conn: &Connection, name: &str, lease: ShardLease, now: i64) -> Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (
           SELECT 1 FROM messagekit_relay_shards s JOIN messagekit_relay_members m ON m.name = s.owner
           WHERE s.shard = ?1 AND s.epoch = ?2 AND s.owner = ?3 AND m.until > ?4)",
    )?
    .query_row((lease.shard, lease.epoch, name, now), |row| row.get(0))
}

/// Makes the owner of a shard restart it.
pub(crate) fn begin_again(conn: &Connection, shard: u16) -> Result<()> {
    conn.prepare_cached("UPDATE messagekit_relay_shards SET epoch = epoch + 1 WHERE shard = ?1")?
        .execute([shard])
        .map(drop)
}

/// Returns the end of the longest relay lease, past or present.
pub(crate) fn last_life(conn: &Connection, now: i64) -> Result<Option<i64>> {
    conn.prepare_cached("SELECT max(until) FROM messagekit_relay_members WHERE until <= ?1")?
        .query_row([latest(now)], |row| row.get(0))
        .optional()
        .map(Option::flatten)
}
