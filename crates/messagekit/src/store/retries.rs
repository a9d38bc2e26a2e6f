//! Retries of a consumer's due failed messages, and of the messages parked behind them.

use super::ReceivedMessage;

/// A failed message that this consumer may run until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryLease {
    /// The number of the failed message.
    pub failed_message: i64,
    /// Fences off earlier leases.
    pub token: i64,
    /// The number of this run, counted from 1.
    pub attempt: u32,
    /// The number of leases of this message alone that ended without a result: the process crashed, or the consumer's future
    /// was dropped.
    pub crash_count: u32,
    /// The number of messages of its key, this one included, that must run one at a time: a process ended while it ran that
    /// many together. 0 if no process did.
    pub alone: u32,
    /// An operator requested this run: if it fails, the failed message is dead at once.
    pub requested: bool,
    /// The message is parked: resolving it lets the next failed message of its key run.
    pub parked: bool,
    /// The complete message.
    pub received: ReceivedMessage,
}

/// A message parked behind a leased one of its key. It needs no lease, because only the first open message of a key may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The number of the failed message.
    pub failed_message: i64,
    /// Fences: it changes when an operator acts on the failed message.
    pub token: i64,
    /// The number of this run, counted from 1.
    pub attempt: u32,
    /// The complete message.
    pub received: ReceivedMessage,
}
