//! A store with one fault in its failed messages.

use std::time::Duration;

use messagekit::MessageId;
use messagekit::adapter::{Failure, Next, ReceivedMessage, RetryLease};

use super::Fault;
use super::store::FaultyStore;

/// The end of a lease that never ends.
pub(super) const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);

impl FaultyStore {
    pub(super) fn kept(&self, received: &ReceivedMessage) -> ReceivedMessage {
        let mut kept = received.clone();
        match self.fault {
            Some(Fault::FailedMessageCutsPayload) => kept.message.payload.truncate(1_000),
            Some(Fault::FailedMessageManglesBytes) => {
                let text = String::from_utf8_lossy(&kept.message.payload).into_owned();
                kept.message.payload = text.into();
            }
            Some(Fault::FailedMessageInventsId) if kept.id.is_position() => kept.id = MessageId::new(),
            _ => {}
        }
        kept
    }

    pub(super) fn changed(&self, failure: &Failure) -> Failure {
        let mut changed = failure.clone();
        let at_once = Next::Retry(Duration::ZERO);
        match (self.fault, failure.next) {
            (Some(Fault::LeasesTheDead), Next::Dead) => changed.next = at_once,
            (Some(Fault::LeasesTooEarly), Next::Retry(_)) => changed.next = at_once,
            (Some(Fault::FailedMessageForgetsError), _) => changed.error.clear(),
            (Some(Fault::SetsAsideUnderNoGeneration), _) => changed.generation = 0,
            _ => {}
        }
        changed
    }

    /// Returns the lease with the current token, whichever token it has.
    pub(super) fn with_present_token(&self, leased: &RetryLease) -> RetryLease {
        let token = self.notes().tokens.get(&leased.failed_message).copied().unwrap_or(leased.token);
        RetryLease { token, ..leased.clone() }
    }
}
