//! A consumer's own due failed messages, and the runs of messages that wait behind one.

use std::future::Future;
use std::time::Duration;

use super::{Failure, ReceivedMessage, Store};
use crate::Error;

/// A failed message that this consumer may run until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryLease {
    /// The failed message's number.
    pub failed_message: i64,
    /// Fences everybody who leased it before.
    pub token: i64,
    /// Which run this is, this one included.
    pub attempt: u32,
    /// How many leases of it alone ended without an answer: the process died, or the consumer's future was dropped.
    pub crash_count: u32,
    /// How many messages of its key, this one included, are to run one at a time, because a process ended while it ran that
    /// many together. 0 where no process did.
    pub alone: u32,
    /// A person asked for this run: if it fails, the failed message is dead at once.
    pub requested: bool,
    /// It takes part in its key's order: resolving it lets the next failed message of the key run.
    pub parked: bool,
    /// The message, whole.
    pub received: ReceivedMessage,
}

/// A message that waits in a blocked key behind one that is leased. It needs no lease of its own: of a key only the first open
/// message may run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follower {
    /// The failed message's number.
    pub failed_message: i64,
    /// Fences: it changes when an operator acts on the failed message.
    pub token: i64,
    /// Which run this is, this one included.
    pub attempt: u32,
    /// The message, whole.
    pub received: ReceivedMessage,
}

/// Running set-aside messages again, through the same handler, in the process that consumes.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot run set-aside messages again")]
pub trait Retries: Store {
    /// Leases at most `max` failed messages of `consumer` that are due by database time, oldest due first, for `lease`.
    ///
    /// A lease that ended without an answer is due again. It counts as an attempt and a kill, unless it was for a
    /// [run of several](Self::begin_run): it counts as neither then, and the messages of that run are [alone](Leased::alone) from
    /// there on. A parked failed message is only leased when no open failed message of its key is before it.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn lease(
        &self,
        consumer: &str,
        max: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<RetryLease>, Error>> + Send;

    /// Renews the lease of a parked failed message, and notes how many messages of its key may run together in it, this one
    /// included. Committed before the first handler starts, so that a process that ends in the run leaves a trace.
    ///
    /// Returns that number: `most`, or 1 when no message waits behind the failed message; nothing when the lease is no longer
    /// this one.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Option<u32>, Error>> + Send;

    /// Returns the messages that wait in the key of a parked failed message, in order from the next one behind it: at most
    /// `messages` with `bytes` of payload, and none behind one that does not wait for its turn.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn followers(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> impl Future<Output = Result<Vec<Follower>, Error>> + Send;

    /// Marks the failed message and its followers resolved and their messages done, as the last act of the handlers' transaction.
    ///
    /// Where the failed message is parked, the next one of its key is due then, and the last one frees the key. Returns false
    /// when the lease is no longer this one or a follower does not wait any more: roll back then.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when a marker is not held although its failed message is open.
    fn resolve(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Notes that the run failed: due again or dead, as the failure says. A failed message that a person had asked to run again
    /// is dead at once. The lease has counted the attempt; `failure.attempts` is not looked at.
    ///
    /// Returns false when the lease is no longer this one: it ended, or it was answered before.
    ///
    /// # Errors
    /// Transient if the database does not answer; the lease then ends by itself.
    fn fail(
        &self,
        consumer: &str,
        leased: &RetryLease,
        failure: &Failure,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Gives the lease back without counting the attempt, due after `delay`: an outage, a conflict, a clean stop.
    ///
    /// Returns false when the lease is no longer this one: it ended, or it was answered before.
    ///
    /// # Errors
    /// Transient if the database does not answer; the lease then ends by itself.
    fn hand_back(
        &self,
        consumer: &str,
        leased: &RetryLease,
        delay: Duration,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
}
