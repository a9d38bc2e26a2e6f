//! Failed messages that block later messages of their key.

use std::collections::HashMap;

use messagekit::adapter::{Failure, FailureKind, Next, ReceivedMessage, SetAsideOutcome};
use messagekit::operations::{FailedMessageState, StateReason};
use messagekit::{Error, ErrorKind, ParkingLimits, Position};
use rusqlite::Connection;

use super::blocked_keys::{self, BlockedKey};
use super::failed_messages::{self, Entry, Way};
use super::processed;
use crate::error::from_sqlite;

/// Claims a message as held and stores it completely, so that it blocks its key.
pub(crate) fn park(
    conn: &Connection,
    consumer: i64,
    received: &ReceivedMessage,
    failure: &Failure,
    limits: ParkingLimits,
    now: i64,
) -> Result<SetAsideOutcome, Error> {
    if processed::is_settled(conn, consumer, &received.id, failure.generation).map_err(from_sqlite)? {
        return Ok(SetAsideOutcome::AlreadySettled);
    }
    let (key, position) = of(consumer, received)?;
    if !ParkingQuota::new(conn, consumer, limits)?.take(conn, key)? {
        return Ok(SetAsideOutcome::Full);
    }
    processed::hold(conn, consumer, &received.id, failure.generation, now).map_err(from_sqlite)?;
    let standing = standing(conn, key, position, failed_messages::after(failure, now))?;
    keep(conn, key, received, failure, standing, now)?;
    Ok(SetAsideOutcome::SetAside)
}

/// Parks messages that were claimed behind their keys, and returns how many fit the limits.
pub(crate) fn park_behind(
    conn: &Connection,
    consumer: i64,
    behind: &[ReceivedMessage],
    limits: ParkingLimits,
    now: i64,
) -> Result<usize, Error> {
    let failure = waits();
    let mut quota = ParkingQuota::new(conn, consumer, limits)?;
    for (index, received) in behind.iter().enumerate() {
        let (key, position) = of(consumer, received)?;
        if !quota.take(conn, key)? {
            return Ok(index);
        }
        // It has never run; without an earlier open message it is due at once.
        let standing = standing(conn, key, position, (FailedMessageState::RetryScheduled, Some(now)))?;
        keep(conn, key, received, &failure, standing, now)?;
    }
    Ok(behind.len())
}

/// Returns the failure of a message that has not run.
fn waits() -> Failure {
    let failure = Failure::permanent(FailureKind::KeyBlocked, "waits for an earlier message of its key");
    Failure { attempts: 0, next: Next::Retry(std::time::Duration::ZERO), ..failure }
}

/// Returns the key that a message blocks, and its position.
fn of(consumer: i64, received: &ReceivedMessage) -> Result<(BlockedKey<'_>, &Position), Error> {
    let ReceivedMessage { message, position, id } = received;
    let position = message.key.as_deref().zip(position.as_ref());
    let (key, position) = position.ok_or_else(|| {
        Error::new(
            ErrorKind::Other,
            "a message without key or place has no order to keep: set it aside alone",
        )
        .with("id", id)
    })?;
    Ok((BlockedKey { consumer, topic: &message.topic, key }, position))
}

/// A state, its reason, and when the failed message is due.
type Standing = (FailedMessageState, StateReason, Option<i64>);

/// Returns the state of a new failed message at a position of its key: blocked while an earlier one is open.
fn standing(
    conn: &Connection,
    key: BlockedKey<'_>,
    position: &Position,
    (state, due): (FailedMessageState, Option<i64>),
) -> Result<Standing, Error> {
    let waits =
        blocked_keys::is_before(conn, key, position.partition, position.offset).map_err(from_sqlite)?;
    Ok(match waits {
        true => (FailedMessageState::Blocked, StateReason::KeyBlocked, None),
        false => (state, StateReason::SetAside, due),
    })
}

fn keep(
    conn: &Connection,
    key: BlockedKey<'_>,
    received: &ReceivedMessage,
    failure: &Failure,
    (state, reason, due): Standing,
    now: i64,
) -> Result<(), Error> {
    let entry = Entry { way: &Way::default(), received, failure, parked: true, state, reason, due };
    failed_messages::insert(conn, key.consumer, &entry, now)
}

/// The remaining quota within one transaction.
struct ParkingQuota<'a> {
    per_key: u32,
    in_all: u32,
    of_keys: HashMap<BlockedKey<'a>, u32>,
}

impl<'a> ParkingQuota<'a> {
    fn new(conn: &Connection, consumer: i64, limits: ParkingLimits) -> Result<Self, Error> {
        let ParkingLimits { per_key, in_all } = limits;
        let taken = blocked_keys::count(conn, consumer, in_all).map_err(from_sqlite)?;
        Ok(Self { per_key, in_all: in_all.saturating_sub(taken), of_keys: HashMap::new() })
    }

    /// Takes the quota of one failed message; returns false when none is left.
    fn take(&mut self, conn: &Connection, key: BlockedKey<'a>) -> Result<bool, Error> {
        if !self.of_keys.contains_key(&key) {
            let taken = blocked_keys::count_of(conn, key, self.per_key).map_err(from_sqlite)?;
            self.of_keys.insert(key, self.per_key.saturating_sub(taken));
        }
        let left = self.of_keys.get_mut(&key).filter(|left| **left > 0 && self.in_all > 0);
        let Some(left) = left else { return Ok(false) };
        *left -= 1;
        self.in_all -= 1;
        Ok(true)
    }
}
