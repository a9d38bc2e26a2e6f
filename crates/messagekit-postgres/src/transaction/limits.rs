//! The time limits of a transaction.

use std::time::Duration;

/// The time limits of a transaction: of one statement, and of the idle time between two.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    pub(crate) statement: Duration,
    pub(crate) idle: Duration,
}

/// 0 would turn a limit off; the server's integers have 31 bits.
pub(crate) fn millis(limit: Duration) -> u128 {
    limit.as_millis().clamp(1, i32::MAX as u128)
}
