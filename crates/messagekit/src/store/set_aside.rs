//! Setting a message aside instead of applying it.

use std::future::Future;

use super::{Failure, Store};
use crate::{Error, Message, MessageId, Place};

/// A received message without its receipt: what stores are told about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    /// Its id, or its place where it has no usable one.
    pub id: MessageId,
    /// The message, whole.
    pub message: Message,
    /// Where it stands, when the transport has coordinates.
    pub place: Option<Place>,
}

/// What became of a request to set a message aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAsideOutcome {
    /// The letter and its `held` marker stand in the transaction.
    SetAside,
    /// It has a marker already: somebody else has applied, held or discarded it meanwhile, or another copy of it was
    /// claimed in this very transaction. There is nothing to do.
    AlreadySettled,
}

/// Writing a dead letter and the `held` marker in one transaction, so that a late duplicate is never applied behind the
/// letter's back.
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
        received: &Received,
        failure: &Failure,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;
}
