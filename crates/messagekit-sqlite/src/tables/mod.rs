//! The statements, as plain functions over a connection: no thread, no transaction and no lock is decided here.

pub(crate) mod append;
mod columns;
pub(crate) mod cursors;
mod letter_row;
pub(crate) mod letters;
mod murmur2;
pub(crate) mod names;
pub(crate) mod offsets;
pub(crate) mod processed;
pub(crate) mod read;
pub(crate) mod retries;
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

/// Turns a delay into what is added to [`now`]; a hundred years stand for everything longer.
pub(crate) fn micros(delay: std::time::Duration) -> i64 {
    const CENTURY: u128 = 100 * 365 * 24 * 3_600 * 1_000_000;
    i64::try_from(delay.as_micros().min(CENTURY)).unwrap_or(i64::MAX)
}
