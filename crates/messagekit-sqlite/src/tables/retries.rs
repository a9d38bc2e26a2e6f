//! A consumer's own due letters: lease, resolve, fail, hand back.
//!
//! `due` is also the end of the lease, and `token` its fence: each lease and each act of an operator counts it up. A
//! lease that was answered is over: `running_since` is null then.

use std::time::Duration;

use messagekit::{Error, ErrorKind, Failure, Leased, LetterState};
use rusqlite::{Connection, Result, params};

use super::held_keys::{self, HeldKey, head_of};
use super::letter_row::{self, COLUMNS};
use super::letters::after;
use super::{micros, names, processed};
use crate::error::from_sqlite;

/// Returns whether a letter of the consumer is due: a look that takes no write lock.
pub(crate) fn any_due(conn: &Connection, consumer: &str, now: i64) -> Result<bool> {
    match names::known_consumer(conn, consumer)? {
        Some(consumer) => Ok(!due(conn, consumer, 1, now)?.is_empty()),
        None => Ok(false),
    }
}

/// Leases letters that are due, oldest due first. A letter whose last run never came back counts a kill.
pub(crate) fn lease(
    conn: &Connection,
    consumer: i64,
    max: u32,
    lease: Duration,
    now: i64,
) -> std::result::Result<Vec<Leased>, Error> {
    let until = now.saturating_add(micros(lease));
    let due = due(conn, consumer, max, now).map_err(from_sqlite)?;
    due.into_iter().map(|id| take(conn, id, until, now)).collect()
}

/// Leases one letter.
pub(crate) fn take(conn: &Connection, id: i64, until: i64, now: i64) -> std::result::Result<Leased, Error> {
    let mut update = conn
        .prepare_cached(&format!(
            "UPDATE messagekit_dead_letters
             SET due = ?2, kills = kills + (running_since IS NOT NULL), running_since = ?3,
                 token = token + 1, attempts = attempts + 1
             WHERE id = ?1 RETURNING {COLUMNS}, kills, parked, state = 'replaying' AS replaying"
        ))
        .map_err(from_sqlite)?;
    let mut rows = update.query((id, until, now)).map_err(from_sqlite)?;
    let row = rows.next().map_err(from_sqlite)?.ok_or_else(|| {
        Error::new(ErrorKind::Corrupt, "letter vanished between look and lease").with("letter", id)
    })?;
    let kept = letter_row::read(row)?;
    Ok(Leased {
        letter: kept.id,
        token: kept.token,
        attempt: kept.attempts,
        kills: row.get("kills").map_err(from_sqlite)?,
        replaying: row.get("replaying").map_err(from_sqlite)?,
        parked: row.get("parked").map_err(from_sqlite)?,
        received: kept.received,
    })
}

/// Of a key that is held only the head may run.
pub(super) fn due_sql() -> String {
    format!(
        "SELECT d.id FROM messagekit_dead_letters d
         WHERE d.consumer_id = ?1 AND d.origin = 'store' AND d.state IN ('retrying', 'replaying') AND d.due <= ?2
           AND (d.parked = 0 OR d.id = {})
         ORDER BY d.due, d.id LIMIT ?3",
        head_of("d.consumer_id", "d.topic", "d.key")
    )
}

fn due(conn: &Connection, consumer: i64, max: u32, now: i64) -> Result<Vec<i64>> {
    conn.prepare_cached(&due_sql())?.query_map((consumer, now, max), |row| row.get(0))?.collect()
}

/// Marks a letter resolved and its message done, and lets the next one of its key run; false when the lease is another one
/// by now.
pub(crate) fn resolve(
    conn: &Connection,
    consumer: i64,
    leased: &Leased,
    now: i64,
) -> std::result::Result<bool, Error> {
    let resolved = conn
        .prepare_cached(
            "UPDATE messagekit_dead_letters SET state = 'resolved', due = NULL, running_since = NULL, changed_at = ?4
             WHERE id = ?1 AND consumer_id = ?2 AND token = ?3 AND running_since IS NOT NULL",
        )
        .and_then(|mut update| update.execute((leased.letter, consumer, leased.token, now)))
        .map_err(from_sqlite)?;
    if resolved == 0 {
        return Ok(false);
    }
    let id = leased.received.id.as_str();
    if !processed::apply_held(conn, consumer, id, now).map_err(from_sqlite)? {
        return Err(Error::new(
            ErrorKind::Corrupt,
            "dead letter is open but the marker of its message is not held",
        )
        .with("letter", leased.letter)
        .with("id", &leased.received.id));
    }
    if let (true, Some(key)) = (leased.parked, &leased.received.message.key) {
        let key = HeldKey { consumer, topic: &leased.received.message.topic, key };
        held_keys::promote(conn, key, now).map_err(from_sqlite)?;
    }
    Ok(true)
}

/// Notes a failed run; a letter that a person had asked to run again is dead at once.
pub(crate) fn fail(
    conn: &Connection,
    consumer: i64,
    leased: &Leased,
    failure: &Failure,
    now: i64,
) -> Result<bool> {
    let (state, due) = after(failure, now);
    let noted = conn
        .prepare_cached(
            "UPDATE messagekit_dead_letters
             SET state = CASE WHEN state = 'replaying' THEN 'dead' ELSE ?4 END,
                 due = CASE WHEN state = 'replaying' THEN NULL ELSE ?5 END,
                 changed_at = CASE WHEN state = ?4 THEN changed_at ELSE ?6 END,
                 running_since = NULL, kind = ?7, error = ?8, fingerprint = ?9
             WHERE id = ?1 AND consumer_id = ?2 AND token = ?3 AND running_since IS NOT NULL",
        )?
        .execute(params![
            leased.letter,
            consumer,
            leased.token,
            state.as_str(),
            due,
            now,
            failure.kind.as_str(),
            failure.error,
            failure.fingerprint(),
        ])?;
    debug_assert!(matches!(state, LetterState::Retrying | LetterState::Dead), "a failure leads nowhere else");
    Ok(noted == 1)
}

/// Gives a lease back without counting the run.
pub(crate) fn hand_back(
    conn: &Connection,
    consumer: i64,
    leased: &Leased,
    delay: Duration,
    now: i64,
) -> Result<bool> {
    let back = conn
        .prepare_cached(
            "UPDATE messagekit_dead_letters SET due = ?4, running_since = NULL, attempts = attempts - 1
             WHERE id = ?1 AND consumer_id = ?2 AND token = ?3 AND running_since IS NOT NULL",
        )?
        .execute((leased.letter, consumer, leased.token, now.saturating_add(micros(delay))))?;
    Ok(back == 1)
}
