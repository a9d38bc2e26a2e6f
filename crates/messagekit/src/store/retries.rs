//! Retries of a consumer's due failed messages, and of the messages parked behind them.

use std::future::Future;
use std::time::Duration;

use super::{Failure, ReceivedMessage};
use crate::Error;

/// The retries of a consumer's failed messages. They run the same handler, in the process that consumes.
pub trait Retries<Tx: Send>: Send + Sync + 'static {
    /// Leases at most `max` failed messages of `consumer` that are due by database time, oldest due first, for `lease`.
    ///
    /// A lease that ended without a result is due again. It counts as an attempt and a crash, unless it covered a [run of
    /// several](Self::begin_run). Such a lease counts as neither, and the messages of that run are then
    /// [alone](RetryLease::alone). A parked failed message is leased only if no open failed message of its key precedes it.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn lease(
        &self,
        consumer: &str,
        max: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<RetryLease>, Error>> + Send;

    /// Renews the lease of a parked failed message, and records how many messages of its key may run together in it, this one
    /// included. The record is committed before the first handler starts, so a crash during the run leaves a trace.
    ///
    /// Returns that number: `most`, or 1 if no message waits behind the failed message. Returns `None` if the lease is no
    /// longer valid.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Option<u32>, Error>> + Send;

    /// Returns the messages parked behind a failed message in its key, in order: at most `messages` with `bytes` of payload.
    /// The list ends before the first message that is not waiting for its turn.
    ///
    /// # Errors
    /// A transient error if the database does not answer: roll back and retry.
    fn followers(
        &self,
        tx: &mut Tx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> impl Future<Output = Result<Vec<Follower>, Error>> + Send;

    /// Marks the failed message and its followers as resolved and their messages as done. It is the last statement of the
    /// handlers' transaction.
    ///
    /// If the failed message is parked, the next one of its key becomes due; the last one unblocks the key. Returns false if
    /// the lease is no longer valid or a follower no longer waits: the caller must then roll back.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) if a marker is not held although its failed message is open; a retry
    /// does not help.
    fn resolve(
        &self,
        tx: &mut Tx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Records a failed run: the failed message is due again or dead, as `failure` says. A failed message whose retry an
    /// operator requested is dead at once. The lease has counted the attempt; `failure.attempts` is ignored.
    ///
    /// Returns false if the lease is no longer valid: it ended, or its result was recorded before.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry, or let the lease expire.
    fn fail(
        &self,
        consumer: &str,
        leased: &RetryLease,
        failure: &Failure,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Releases the lease without counting the attempt, due after `delay`: for an outage, a conflict or a clean stop.
    ///
    /// Returns false if the lease is no longer valid: it ended, or its result was recorded before.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry, or let the lease expire.
    fn hand_back(
        &self,
        consumer: &str,
        leased: &RetryLease,
        delay: Duration,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
}

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
