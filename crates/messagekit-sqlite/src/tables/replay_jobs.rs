//! Replays as rows.

use messagekit::Error;
use messagekit::operations::{
    Operator, ReplayJob, ReplayLease, ReplayOrder, ReplayState, no_replay, other_count,
};
use rusqlite::{Connection, OptionalExtension, params};

use super::{audit, count, micros_of, operator_row, replay_items, stored_events};
use crate::error::from_sqlite;

const COLUMNS: &str = "id, event_type, topic, key, from_at AS \"from\", to_at AS until, ids, per_second, state, events, published, ordered_by, \
    ordered_at, changed_at, error";

/// Creates a replay: its row, its list and its row of the audit.
pub(crate) fn order(
    conn: &Connection,
    order: &ReplayOrder,
    by: &Operator,
    now: i64,
) -> Result<ReplayJob, Error> {
    by.check()?;
    stored_events::check_range(conn, &order.filter)?;
    let write = || -> rusqlite::Result<(i64, usize)> {
        let ReplayOrder { filter, ids, per_second, count: _ } = order;
        let id = conn
            .prepare_cached(
                "INSERT INTO messagekit_replay_jobs
                   (event_type, topic, key, from_at, to_at, ids, per_second, state, events, ordered_by, ordered_at, changed_at)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'running', 0, ?8, ?9, ?9) RETURNING id",
            )?
            .query_row(
                params![
                    filter.event_type,
                    filter.topic,
                    filter.key,
                    filter.from.map(micros_of),
                    filter.to.map(micros_of),
                    ids.as_str(),
                    per_second,
                    by.name,
                    now,
                ],
                |row| row.get(0),
            )?;
        let events = replay_items::choose(conn, id, filter)?;
        let state = if events == 0 { ReplayState::Done } else { ReplayState::Running };
        conn.prepare_cached("UPDATE messagekit_replay_jobs SET events = ?2, state = ?3 WHERE id = ?1")?
            .execute((id, count(events), state.as_str()))?;
        Ok((id, events))
    };
    let (id, events) = write().map_err(from_sqlite)?;
    audit::write(conn, by, "replay", &[id], 1, now)?;
    let events = events as u64;
    if order.count.is_some_and(|count| count != events) {
        // The caller rolls the writes back.
        return Err(other_count(events));
    }
    show(conn, id)
}

/// Returns one replay.
pub(crate) fn show(conn: &Connection, id: i64) -> Result<ReplayJob, Error> {
    list(conn, Some(id.saturating_add(1)), 1)?.pop().filter(|job| job.id == id).ok_or_else(|| no_replay(id))
}

/// Returns replays, newest first.
pub(crate) fn list(conn: &Connection, before: Option<i64>, limit: u32) -> Result<Vec<ReplayJob>, Error> {
    let select =
        format!("SELECT {COLUMNS} FROM messagekit_replay_jobs WHERE id < ?1 ORDER BY id DESC LIMIT ?2");
    operator_row::list(conn, &select, (before.unwrap_or(i64::MAX), limit))
}

/// Stops a running replay; its worker finds its lease gone. Returns the present state of a replay that does not run. The
/// audit records both cases.
pub(crate) fn cancel(
    conn: &Connection,
    id: i64,
    by: &Operator,
    now: i64,
) -> Result<Option<ReplayState>, Error> {
    by.check()?;
    let cancelled = conn
        .prepare_cached(
            "UPDATE messagekit_replay_jobs
             SET state = 'cancelled', leased_until = NULL, epoch = epoch + 1, changed_at = ?2
             WHERE id = ?1 AND state = 'running'",
        )
        .and_then(|mut update| update.execute((id, now)))
        .map_err(from_sqlite)?;
    let ended = if cancelled == 0 { Some(show(conn, id)?.state) } else { None };
    if ended.is_none() {
        replay_items::drop_all(conn, id).map_err(from_sqlite)?;
    }
    audit::write(conn, by, "cancel-replay", &[id], cancelled, now)?;
    Ok(ended)
}

/// Returns the oldest running replay that no worker has leased. One that has last moved after now is of a clock that has been set
/// back since: its lease would last until it has caught up.
pub(crate) fn free(conn: &Connection, now: i64) -> rusqlite::Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT id FROM messagekit_replay_jobs
         WHERE state = 'running' AND (leased_until IS NULL OR leased_until <= ?1 OR changed_at > ?1) ORDER BY id LIMIT 1",
    )?
    .query_row([now], |row| row.get(0))
    .optional()
}

/// Leases a replay that no worker has leased, until the given time.
pub(crate) fn lease(
    conn: &Connection,
    until: i64,
    now: i64,
) -> Result<Option<(ReplayLease, ReplayJob)>, Error> {
    let Some(job) = free(conn, now).map_err(from_sqlite)? else { return Ok(None) };
    let epoch = conn
        .prepare_cached(
            "UPDATE messagekit_replay_jobs SET leased_until = ?2, epoch = epoch + 1 WHERE id = ?1 RETURNING epoch",
        )
        .and_then(|mut update| update.query_row((job, until), |row| row.get(0)))
        .map_err(from_sqlite)?;
    Ok(Some((ReplayLease { job, epoch }, show(conn, job)?)))
}

/// Returns whether a lease still holds and its replay runs.
pub(crate) fn holds(conn: &Connection, lease: ReplayLease) -> rusqlite::Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messagekit_replay_jobs WHERE id = ?1 AND epoch = ?2 AND state = 'running')",
    )?
    .query_row((lease.job, lease.epoch), |row| row.get(0))
}

/// Stores the progress and extends the lease; the last entry of the list ends the replay.
pub(crate) fn progress(
    conn: &Connection,
    job: i64,
    published: usize,
    until: i64,
    now: i64,
) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE messagekit_replay_jobs SET published = published + ?2, changed_at = ?4,
           state = CASE WHEN EXISTS (SELECT 1 FROM messagekit_replay_items WHERE job_id = ?1) THEN 'running' ELSE 'done' END,
           leased_until = CASE WHEN EXISTS (SELECT 1 FROM messagekit_replay_items WHERE job_id = ?1) THEN ?3 END
         WHERE id = ?1",
    )?
    .execute((job, count(published), until, now))
    .map(drop)
}

/// Ends a replay that cannot continue.
pub(crate) fn fail(conn: &Connection, job: i64, error: &str, now: i64) -> rusqlite::Result<()> {
    conn.prepare_cached(
        "UPDATE messagekit_replay_jobs SET state = 'failed', error = ?2, leased_until = NULL, changed_at = ?3 WHERE id = ?1",
    )?
    .execute((job, error, now))?;
    replay_items::drop_all(conn, job)
}
