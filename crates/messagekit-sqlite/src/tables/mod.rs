//! The statements, as plain functions over a connection: no thread, no transaction and no lock is decided here.

pub(crate) mod actions;
pub(crate) mod append;
pub(crate) mod audit;
mod blocked_keys;
pub(crate) mod cleanup;
mod columns;
pub(crate) mod cursors;
pub(crate) mod delayed;
pub(crate) mod events;
mod failed_message_filter;
mod failed_message_head;
pub(crate) mod failed_message_lists;
mod failed_message_row;
pub(crate) mod failed_messages;
pub(crate) mod in_flight_attempts;
mod murmur2;
pub(crate) mod names;
pub(crate) mod offsets;
pub(crate) mod outbox_failures;
pub(crate) mod parking;
pub(crate) mod pending;
pub(crate) mod processed;
pub(crate) mod read;
pub(crate) mod rejected;
pub(crate) mod replay_items;
pub(crate) mod replay_jobs;
pub(crate) mod retries;
pub(crate) mod returns;
pub(crate) mod shards;
pub(crate) mod topics;

#[cfg(test)]
mod tests;

use jiff::Timestamp;
use messagekit::{Error, ErrorKind};

/// Returns this machine's time as tables keep it.
pub(crate) fn now() -> i64 {
    Timestamp::now().as_microsecond()
}

/// Reads a time that a table has kept.
pub(crate) fn timestamp(micros: i64) -> Result<Timestamp, Error> {
    Timestamp::from_microsecond(micros)
        .map_err(|error| Error::new(ErrorKind::Corrupt, "stored time is out of range").caused_by(error))
}

/// Turns a time into what a table keeps.
pub(crate) fn micros_of(time: Timestamp) -> i64 {
    time.as_microsecond()
}

/// Turns a length into what a table keeps.
pub(crate) fn count(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Turns a delay into what is added to [`now`]; a hundred years stand for everything longer.
pub(crate) fn micros(delay: std::time::Duration) -> i64 {
    const CENTURY: u128 = 100 * 365 * 24 * 3_600 * 1_000_000;
    i64::try_from(delay.as_micros().min(CENTURY)).unwrap_or(i64::MAX)
}
