//! Messages that consumers set aside.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use super::{Failure, ParkingLimits, ReceivedMessage, SetAsideOutcome};
use crate::Error;

/// The failed messages of consumers, as a consumer writes them.
///
/// A failed message is written with its `held` marker in one transaction: the marker prevents a late duplicate from being applied while
/// the failed message is open.
pub trait FailedMessageRows<Tx: Send>: Send + Sync + 'static {
    /// Returns the age of the oldest open failed message that a retry publishes to one of `topics`. The age counts by the
    /// database's clock from the time when it was stored.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn oldest_return(
        &self,
        topics: &[Arc<str>],
    ) -> impl Future<Output = Result<Option<Duration>, Error>> + Send;

    /// Claims the message as held and stores it whole, due again as `failure` says.
    ///
    /// # Errors
    /// A transient error if the database does not answer: nothing was stored, roll back and retry.
    fn set_aside(
        &self,
        tx: &mut Tx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;

    /// As [`set_aside`](Self::set_aside), and the message blocks its key: later messages of its topic and key are claimed
    /// [`KeyBlocked`](crate::Claim::KeyBlocked) until it is resolved or discarded. It needs a key and a position. If open
    /// failed messages of its key precede it, it waits for them regardless of `failure`.
    ///
    /// Returns [`SetAsideOutcome::Full`] if the parking limit is reached: roll back, and leave the message in its lane.
    ///
    /// # Errors
    /// A transient error if the database does not answer: nothing was stored, roll back and retry.
    fn park(
        &self,
        tx: &mut Tx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;

    /// Parks messages whose claims in this transaction returned [`KeyBlocked`](crate::Claim::KeyBlocked), in the order of their
    /// positions, behind the failed messages of their keys. Call it after the handlers: no transaction holds the lock of a key
    /// while a handler runs.
    ///
    /// Returns how many messages, counted from the front, fit into the parking limits. If not all of them fit, do not commit:
    /// roll back and end the batch before the first one that does not fit.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if a key was unblocked since the claim: roll back and claim again,
    /// so the key stays unblocked. A transient error if the database does not answer: nothing was stored, roll back and retry.
    fn park_behind(
        &self,
        tx: &mut Tx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> impl Future<Output = Result<usize, Error>> + Send;
}
