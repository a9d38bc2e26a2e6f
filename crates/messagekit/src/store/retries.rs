//! A consumer's own due letters.

use std::future::Future;
use std::time::Duration;

use super::{Failure, Received, Store};
use crate::Error;

/// A letter that this consumer may run until its lease ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leased {
    /// The letter's number.
    pub letter: i64,
    /// Fences everybody who leased it before.
    pub token: i64,
    /// Which run this is, this one included.
    pub attempt: u32,
    /// How many leases ended without an answer: the process died, or the consumer's future was dropped.
    pub kills: u32,
    /// A person asked for this run: if it fails, the letter is dead at once.
    pub replaying: bool,
    /// It takes part in its key's order: resolving it lets the next letter of the key run.
    pub parked: bool,
    /// The message, whole.
    pub received: Received,
}

/// Running set-aside messages again, through the same handler, in the process that consumes.
#[diagnostic::on_unimplemented(message = "`{Self}` cannot run set-aside messages again")]
pub trait Retries: Store {
    /// Leases at most `max` letters of `consumer` that are due by database time, oldest due first, for `lease`.
    ///
    /// A lease that ended without an answer is due again and counts as a kill. A parked letter is only leased when no open
    /// letter of its key is before it.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn lease(
        &self,
        consumer: &str,
        max: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Leased>, Error>> + Send;

    /// Marks the letter resolved and its message done, as the last act of the handler's transaction.
    ///
    /// Where the letter is parked, the next one of its key is due then, and the last one frees the key. Returns false when the
    /// lease is no longer this one: roll back then.
    ///
    /// # Errors
    /// [`ErrorKind::Corrupt`](crate::ErrorKind::Corrupt) when the marker is not held although the letter is open.
    fn resolve(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        leased: &Leased,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Notes that the run failed: due again or dead, as the failure says. A letter that a person had asked to run again is
    /// dead at once. The lease has counted the attempt; `failure.attempts` is not looked at.
    ///
    /// Returns false when the lease is no longer this one: it ended, or it was answered before.
    ///
    /// # Errors
    /// Transient if the database does not answer; the lease then ends by itself.
    fn fail(
        &self,
        consumer: &str,
        leased: &Leased,
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
        leased: &Leased,
        delay: Duration,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
}
