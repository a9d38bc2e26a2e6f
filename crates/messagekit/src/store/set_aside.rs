//! Setting a message aside instead of applying it.

use std::future::Future;

use super::{Failure, Store};
use crate::{Error, Message, MessageId, Position};

/// A received message without its receipt: what stores are told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its id, or its place where it has no usable one.
    pub id: MessageId,
    /// The message, whole.
    pub message: Message,
    /// Where it stands, when the transport has coordinates.
    pub position: Option<Position>,
}

/// What became of a request to set a message aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAsideOutcome {
    /// The failed message and its `held` marker stand in the transaction.
    SetAside,
    /// It has a marker already: somebody else has applied, held or discarded it meanwhile, or another copy of it was
    /// claimed in this very transaction. There is nothing to do. The marker of what was applied under a smaller generation than
    /// that of the failure does not count, as for a [claim](super::Processed::claim).
    AlreadySettled,
    /// As many failed messages hold keys back as may: nothing was written. Only [`SetAside::park`] answers it.
    Full,
}

/// How many open failed messages may take part in the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkingLimits {
    /// Of one topic and key.
    pub per_key: u32,
    /// Of the consumer. Where counting them all is dear, a store may do so now and then, and exceed this by up to one in a
    /// hundred for each process.
    pub in_all: u32,
}

impl Default for ParkingLimits {
    /// 1,000 per key and 100,000 in all.
    fn default() -> Self {
        Self { per_key: 1_000, in_all: 100_000 }
    }
}

/// Writing a failed message and the `held` marker in one transaction, so that a late duplicate is never applied behind the
/// failed message's back.
#[diagnostic::on_unimplemented(message = "`{Self}` has nowhere to set messages aside")]
pub trait SetAside: Store {
    /// Whether what is set aside runs again by itself when the failure says so. Where it does not, the consumer tries again in
    /// place first, sets aside what is dead only, and handles each message by itself unless batches are asked for.
    const RUNS_AGAIN: bool = true;

    /// Claims the message as held and keeps it whole, due again as the failure says.
    ///
    /// # Errors
    /// Transient if the database does not answer; nothing was kept then.
    fn set_aside(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;

    /// As [`set_aside`](Self::set_aside), and the message holds its key: later messages of its topic and key are claimed
    /// [`KeyBlocked`](crate::Claim::KeyBlocked) it until it is resolved or discarded. It needs a key and a place. One that has
    /// open failed messages of its key before it waits for them, whatever the failure says.
    ///
    /// [`SetAsideOutcome::Full`] where there is no room: roll back, and leave the message where it is.
    ///
    /// # Errors
    /// Transient if the database does not answer; nothing was kept then.
    fn park(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;

    /// Keeps messages whose claims in this transaction answered [`KeyBlocked`](crate::Claim::KeyBlocked), in the order of their
    /// places, behind the failed messages of their keys. For after the handlers: nobody holds the lock of a key while a handler
    /// runs.
    ///
    /// Returns for how many, from the front, there is room. When that is not all of them, nothing may be committed: roll back
    /// and end the batch before the first one without room.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) where a key was freed since the claim: roll back and claim again, so
    /// that the key stays free. Transient if the database does not answer; nothing was kept then.
    fn park_behind(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> impl Future<Output = Result<usize, Error>> + Send;
}
