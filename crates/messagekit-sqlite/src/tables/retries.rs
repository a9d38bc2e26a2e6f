//! A consumer's own due failed messages: lease, run with its followers, resolve, fail, hand back.
//!
//! `due` is also the end of the lease, and `token` fences it: each lease and each action of an operator increments it. A
//! settled lease is over: its `running_since` is null.

use std::time::Duration;

use messagekit::adapter::{Failure, Follower, RetryLease, instance};
use messagekit::operations::FailedMessageState;
use messagekit::{Error, ErrorKind, MessageId};
use messagekit_topic_store::{LeaseOf, LeasedMessage};
use rusqlite::{Connection, OptionalExtension, Result, Row, params};

use super::blocked_keys::{self, BlockedKey, head_of};
use super::failed_message_row::{self, COLUMNS};
use super::failed_messages::after;
use super::{failed_runs, micros, names, processed, timestamp};
use crate::error::from_sqlite;

/// What a lease hands out beside [`COLUMNS`].
const LEASED: &str = "crash_count, alone, parked, state = 'retry_requested' AS requested";

/// Returns whether a failed message of the consumer is due. This read takes no write lock.
pub(crate) fn any_due(conn: &Connection, consumer: &str, now: i64) -> Result<bool> {
    match names::known_consumer(conn, consumer)? {
        Some(consumer) => Ok(!due(conn, consumer, 1, now)?.is_empty()),
        None => Ok(false),
    }
}

/// Leases due failed messages, oldest due first. A failed message whose last run did not return counts a crash. A run of
/// several counts nothing instead; its messages run alone from now on.
pub(crate) fn lease(
    conn: &Connection,
    consumer: i64,
    max: u32,
    lease: Duration,
    now: i64,
) -> std::result::Result<Vec<RetryLease>, Error> {
    let until = now.saturating_add(micros(lease));
    let due = due(conn, consumer, max, now).map_err(from_sqlite)?;
    due.into_iter().map(|id| take(conn, id, until, now)).collect()
}

/// Returns whether a lease was taken after now. This read takes no write lock.
pub(crate) fn any_later_lease(conn: &Connection, now: i64) -> Result<bool> {
    conn.prepare_cached(
        "SELECT EXISTS (SELECT 1 FROM messagekit_failed_messages
           WHERE state IN ('retry_scheduled', 'retry_requested') AND running_since > ?1)",
    )?
    .query_row([now], |row| row.get(0))
}

/// Ends the leases that were taken after now: the clock has been set back since, and each would last until it has caught up. A process
/// that holds one still runs it, and its token fences it out. Returns how many.
pub(crate) fn end_later_leases(conn: &Connection, now: i64) -> Result<usize> {
    conn.prepare_cached(
        "UPDATE messagekit_failed_messages SET due = ?1
         WHERE state IN ('retry_scheduled', 'retry_requested') AND running_since > ?1",
    )?
    .execute([now])
}

/// Leases one failed message.
pub(crate) fn take(
    conn: &Connection,
    id: i64,
    until: i64,
    now: i64,
) -> std::result::Result<RetryLease, Error> {
    let mut update = conn
        .prepare_cached(&format!(
            "UPDATE messagekit_failed_messages
             SET due = ?2, crash_count = crash_count + (running_since IS NOT NULL AND run_length = 1),
                 alone = iif(running_since IS NULL, alone, max(alone, run_length)), run_length = 1, running_since = ?3,
                 token = token + 1, attempts = attempts + (running_since IS NULL OR run_length = 1),
                 failed_runs = {}, leased_by = (token + 1) || ' ' || ?4
             WHERE id = ?1 RETURNING {COLUMNS}, {LEASED}",
            failed_runs::at_lease()
        ))
        .map_err(from_sqlite)?;
    let mut rows = update.query((id, until, now, instance())).map_err(from_sqlite)?;
    let row = rows.next().map_err(from_sqlite)?.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "failed message vanished between look and lease")
            .with("failed_message", id)
    })?;
    lease_of(row)
}

/// Reads [`COLUMNS`] and [`LEASED`].
fn lease_of(row: &Row<'_>) -> std::result::Result<RetryLease, Error> {
    let kept = failed_message_row::read(row)?;
    Ok(RetryLease {
        failed_message: kept.id,
        token: kept.token,
        attempt: kept.attempts,
        crash_count: row.get("crash_count").map_err(from_sqlite)?,
        alone: row.get("alone").map_err(from_sqlite)?,
        requested: row.get("requested").map_err(from_sqlite)?,
        parked: row.get("parked").map_err(from_sqlite)?,
        received: kept.received,
    })
}

/// Returns the failed message that is due longest of those whose record is in a topic, and in a partition if one is given.
pub(crate) fn due_of_topic(
    conn: &Connection,
    consumer: &str,
    (topic, partition): (&str, Option<i32>),
    now: i64,
) -> Result<Option<i64>> {
    let Some(consumer) = names::known_consumer(conn, consumer)? else { return Ok(None) };
    let of = "AND d.partition IS NOT NULL AND coalesce(d.position_topic, d.topic) = ?4 AND (?5 IS NULL OR d.partition = ?5)";
    conn.prepare_cached(&due_sql_of(of))?
        .query_row((consumer, now, 1, topic, partition), |row| row.get(0))
        .optional()
}

/// Leases the failed message that [`due_of_topic`] finds.
pub(crate) fn lease_of_topic(
    conn: &Connection,
    consumer: &str,
    of: (&str, Option<i32>),
    lease: Duration,
    now: i64,
) -> std::result::Result<Option<LeasedMessage>, Error> {
    let until = now.saturating_add(micros(lease));
    let Some(id) = due_of_topic(conn, consumer, of, now).map_err(from_sqlite)? else { return Ok(None) };
    Ok(Some(LeasedMessage { lease: take(conn, id, until, now)?, until: timestamp(until)? }))
}

/// Returns a failed message under its last lease, until it is settled or leased again; by its position only while the lease lasts.
pub(crate) fn leased(
    conn: &Connection,
    consumer: i64,
    of: &LeaseOf,
    now: i64,
) -> std::result::Result<Option<LeasedMessage>, Error> {
    let id = match of {
        LeaseOf::Token { failed_message, token } => conn
            .prepare_cached(
                "SELECT id FROM messagekit_failed_messages
                 WHERE id = ?2 AND token = ?3 AND consumer_id = ?1 AND running_since IS NOT NULL",
            )
            .and_then(|mut select| select.query_row((consumer, failed_message, token), |row| row.get(0)).optional()),
        LeaseOf::Position { topic, partition, offset } => conn
            .prepare_cached(
                "SELECT id FROM messagekit_failed_messages
                 WHERE consumer_id = ?1 AND state IN ('retry_scheduled', 'retry_requested') AND due > ?5 AND running_since IS NOT NULL
                   AND partition = ?3 AND offset = ?4 AND coalesce(position_topic, topic) = ?2 LIMIT 1",
            )
            .and_then(|mut select| {
                select.query_row((consumer, topic, partition, offset, now), |row| row.get(0)).optional()
            }),
    };
    let id: Option<i64> = id.map_err(from_sqlite)?;
    let Some(id) = id else { return Ok(None) };
    let mut select = conn
        .prepare_cached(&format!(
            "SELECT {COLUMNS}, {LEASED}, due FROM messagekit_failed_messages WHERE id = ?1"
        ))
        .map_err(from_sqlite)?;
    let mut rows = select.query([id]).map_err(from_sqlite)?;
    let Some(row) = rows.next().map_err(from_sqlite)? else { return Ok(None) };
    let until = row.get("due").map_err(from_sqlite)?;
    Ok(Some(LeasedMessage { lease: lease_of(row)?, until: timestamp(until)? }))
}

/// When the first failed message of a consumer is due.
pub(crate) fn next_due(conn: &Connection, consumer: i64) -> Result<Option<i64>> {
    conn.prepare_cached(
        "SELECT due FROM messagekit_failed_messages
         WHERE consumer_id = ?1 AND origin = 'store' AND state IN ('retry_scheduled', 'retry_requested') ORDER BY due LIMIT 1",
    )?
    .query_row([consumer], |row| row.get(0))
    .optional()
}

/// Of a blocked key only the head may run.
pub(super) fn due_sql() -> String {
    due_sql_of("")
}

fn due_sql_of(of: &str) -> String {
    format!(
        "SELECT d.id FROM messagekit_failed_messages d
         WHERE d.consumer_id = ?1 AND d.origin = 'store' AND d.state IN ('retry_scheduled', 'retry_requested') AND d.due <= ?2
           AND (d.parked = 0 OR d.id = {}) {of}
         ORDER BY d.due, d.id LIMIT ?3",
        head_of("d.consumer_id", "d.topic", "d.key")
    )
}

fn due(conn: &Connection, consumer: i64, max: u32, now: i64) -> Result<Vec<i64>> {
    conn.prepare_cached(&due_sql())?.query_map((consumer, now, max), |row| row.get(0))?.collect()
}

/// Stores how many failed messages of a key may run together in a lease, one where none is blocked behind it, and renews
/// the lease. Returns nothing when the lease has changed.
pub(crate) fn begin_run(
    conn: &Connection,
    consumer: i64,
    leased: &RetryLease,
    most: u32,
    lease: Duration,
    now: i64,
) -> Result<Option<u32>> {
    let length =
        if behind(conn, consumer, leased.failed_message, 1, u64::MAX)?.is_empty() { 1 } else { most };
    let begun = conn
        .prepare_cached(
            "UPDATE messagekit_failed_messages SET run_length = ?4, due = ?5
             WHERE id = ?1 AND consumer_id = ?2 AND token = ?3 AND running_since IS NOT NULL",
        )?
        .execute((
            leased.failed_message,
            consumer,
            leased.token,
            length,
            now.saturating_add(micros(lease)),
        ))?;
    Ok((begun == 1).then_some(length))
}

/// Returns the failed messages that are blocked behind another one of their key, up to the first that is not blocked or
/// exceeds the limit.
pub(crate) fn followers(
    conn: &Connection,
    consumer: i64,
    failed_message: i64,
    messages: u32,
    bytes: u64,
) -> std::result::Result<Vec<Follower>, Error> {
    let numbers = behind(conn, consumer, failed_message, messages, bytes).map_err(from_sqlite)?;
    let sql = format!("SELECT {COLUMNS} FROM messagekit_failed_messages WHERE id = ?1");
    let mut select = conn.prepare_cached(&sql).map_err(from_sqlite)?;
    let mut follower = |number: i64| {
        let mut rows = select.query([number]).map_err(from_sqlite)?;
        let row = rows.next().map_err(from_sqlite)?;
        let kept = row.map(failed_message_row::read).transpose()?.ok_or_else(|| {
            Error::new(ErrorKind::Corrupt, "failed message vanished between look and read")
                .with("failed_message", number)
        })?;
        let (token, attempt) = (kept.token, kept.attempts + 1);
        Ok(Follower { failed_message: kept.id, token, attempt, received: kept.received })
    };
    numbers.into_iter().map(&mut follower).collect()
}

fn behind(
    conn: &Connection,
    consumer: i64,
    failed_message: i64,
    messages: u32,
    bytes: u64,
) -> Result<Vec<i64>> {
    let mut left = bytes;
    let mut numbers = Vec::new();
    let mut select = conn.prepare_cached(blocked_keys::behind_sql())?;
    let mut rows = select.query((consumer, failed_message, messages))?;
    while let Some(row) = rows.next()? {
        let (waits, size): (bool, i64) = (row.get(1)?, row.get(2)?);
        let Some(rest) = left.checked_sub(size.unsigned_abs()).filter(|_| waits) else { break };
        left = rest;
        numbers.push(row.get(0)?);
    }
    Ok(numbers)
}

/// Marks failed messages resolved and their messages done, and schedules the next one of the key. Returns false when the
/// lease has changed, or a follower is no longer blocked.
pub(crate) fn resolve(
    conn: &Connection,
    consumer: i64,
    leased: &RetryLease,
    followers: &[Follower],
    now: i64,
) -> std::result::Result<bool, Error> {
    let resolved = conn
        .prepare_cached(
            "UPDATE messagekit_failed_messages SET state = 'resolved', reason = 'applied', due = NULL, running_since = NULL,
               attempts = attempts - 1, changed_at = ?4
             WHERE id = ?1 AND consumer_id = ?2 AND token = ?3 AND running_since IS NOT NULL",
        )
        .and_then(|mut update| update.execute((leased.failed_message, consumer, leased.token, now)))
        .map_err(from_sqlite)?;
    if resolved == 0 {
        return Ok(false);
    }
    mark_applied(conn, consumer, leased.failed_message, &leased.received.id, now)?;
    for follower in followers {
        let resolved = conn
            .prepare_cached(
                "UPDATE messagekit_failed_messages SET state = 'resolved', reason = 'applied', changed_at = ?4
                 WHERE id = ?1 AND consumer_id = ?2 AND token = ?3 AND state = 'blocked'",
            )
            .and_then(|mut update| update.execute((follower.failed_message, consumer, follower.token, now)))
            .map_err(from_sqlite)?;
        if resolved == 0 {
            return Ok(false);
        }
        mark_applied(conn, consumer, follower.failed_message, &follower.received.id, now)?;
    }
    if let (true, Some(key)) = (leased.parked, &leased.received.message.key) {
        let key = BlockedKey { consumer, topic: &leased.received.message.topic, key };
        blocked_keys::promote(conn, key, leased.alone.saturating_sub(1), now).map_err(from_sqlite)?;
    }
    Ok(true)
}

/// Moves the marker of a failed message from held to done.
fn mark_applied(
    conn: &Connection,
    consumer: i64,
    failed_message: i64,
    id: &MessageId,
    now: i64,
) -> std::result::Result<(), Error> {
    if processed::apply_held(conn, consumer, id.as_str(), now).map_err(from_sqlite)? {
        return Ok(());
    }
    let text = "failed message is open but the marker of its message is not held";
    Err(Error::new(ErrorKind::Corrupt, text).with("failed_message", failed_message).with("id", id))
}

/// Stores a failed run; a failed message that an operator asked to retry is dead at once.
pub(crate) fn fail(
    conn: &Connection,
    consumer: i64,
    leased: &RetryLease,
    failure: &Failure,
    now: i64,
) -> Result<bool> {
    let (state, due) = after(failure, now);
    let noted = conn
        .prepare_cached(&format!(
            "UPDATE messagekit_failed_messages
             SET state = CASE WHEN state = 'retry_requested' THEN 'dead' ELSE ?4 END,
                 reason = CASE WHEN state = 'retry_requested' THEN 'requested_run_failed' ELSE 'run_failed' END,
                 due = CASE WHEN state = 'retry_requested' THEN NULL ELSE ?5 END,
                 changed_at = CASE WHEN state = ?4 THEN changed_at ELSE ?6 END,
                 running_since = NULL, kind = ?7, error = ?8, fingerprint = ?9, failed_runs = {}
             WHERE id = ?1 AND consumer_id = ?2 AND token = ?3 AND running_since IS NOT NULL",
            failed_runs::appended("?10")
        ))?
        .execute(params![
            leased.failed_message,
            consumer,
            leased.token,
            state.as_str(),
            due,
            now,
            failure.kind.as_str(),
            failure.error,
            failure.fingerprint(),
            failed_runs::failed(now, leased.attempt, &failure.error),
        ])?;
    debug_assert!(
        matches!(state, FailedMessageState::RetryScheduled | FailedMessageState::Dead),
        "a failure leads nowhere else"
    );
    Ok(noted == 1)
}

/// Returns a lease without counting the run.
pub(crate) fn hand_back(
    conn: &Connection,
    consumer: i64,
    leased: &RetryLease,
    delay: Duration,
    now: i64,
) -> Result<bool> {
    let back = conn
        .prepare_cached(
            "UPDATE messagekit_failed_messages SET due = ?4, running_since = NULL, attempts = attempts - 1
             WHERE id = ?1 AND consumer_id = ?2 AND token = ?3 AND running_since IS NOT NULL",
        )?
        .execute((leased.failed_message, consumer, leased.token, now.saturating_add(micros(delay))))?;
    Ok(back == 1)
}
