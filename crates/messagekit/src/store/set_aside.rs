//! Setting a message aside instead of applying it.

use std::future::Future;

use super::{Failure, Store};
use crate::{Error, Message, MessageId, Position};

/// A received message without its receipt, as stores take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its id, or an id made from its position if it has no usable one.
    pub id: MessageId,
    /// The complete message.
    pub message: Message,
    /// The position of the message, if the transport has positions.
    pub position: Option<Position>,
}

/// The result of setting a message aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAsideOutcome {
    /// The transaction contains the failed message and its `held` marker.
    SetAside,
    /// The message already has a marker: another process has applied, held or discarded it, or the same transaction has claimed
    /// another copy of it. Nothing remains to do. A marker of an applied message with a smaller generation than the failure's
    /// does not count, as for a [claim](super::Processed::claim).
    AlreadySettled,
    /// The limit of parked messages is reached: nothing was written. Only [`SetAside::park`] returns it.
    Full,
}

/// The maximum number of open failed messages that take part in the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkingLimits {
    /// Maximum for one topic and key.
    pub per_key: u32,
    /// Maximum for the consumer. If an exact count is expensive, a store may count from time to time, and exceed the maximum by
    /// up to one percent per process.
    pub in_all: u32,
}

impl Default for ParkingLimits {
    /// 1,000 per key and 100,000 in total.
    fn default() -> Self {
        Self { per_key: 1_000, in_all: 100_000 }
    }
}

/// Writes a failed message and its `held` marker in one transaction. The marker prevents a late duplicate from being applied
/// while the failed message is open.
#[diagnostic::on_unimplemented(message = "`{Self}` has nowhere to set messages aside")]
pub trait SetAside: Store {
    /// Whether the consumer retries a stored failed message by itself. If false, the consumer retries in place first, sets
    /// aside only dead messages, and handles each message by itself unless batches are enabled.
    const RUNS_AGAIN: bool = true;

    /// Claims the message as held and stores it whole, due again as `failure` says.
    ///
    /// # Errors
    /// A transient error if the database does not answer: nothing was stored, roll back and retry.
    fn set_aside(
        &self,
        tx: &mut Self::Tx,
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
        tx: &mut Self::Tx,
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
        tx: &mut Self::Tx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> impl Future<Output = Result<usize, Error>> + Send;
}
