//! The call of a message, between its end and the commit of its effects.

use std::sync::{Mutex, PoisonError};

use crate::handler::CallResult;
use crate::store::Failure;

/// What is known of the call of a message. A result outlives transactions, so a rollback repeats no call.
#[derive(Default)]
pub(in crate::consumer) struct CallSlot(Mutex<CallState>);

#[derive(Clone, Default)]
pub(in crate::consumer) enum CallState {
    /// Whether it is needed is not known.
    #[default]
    Unknown,
    /// The message is fresh.
    Needed,
    /// The store knows the message as done, or it waits behind its key.
    NotNeeded,
    Made(CallResult),
    /// It failed beside an earlier message, and is answered after that one.
    Failed(Failure),
    /// Its service is away, which is answered in the same way.
    Unavailable(String),
}

impl CallState {
    /// Returns whether the call has failed and is not answered.
    pub(in crate::consumer) fn has_failed(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Unavailable(_))
    }
}

impl CallSlot {
    pub(in crate::consumer) fn state(&self) -> CallState {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(in crate::consumer) fn set(&self, state: CallState) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }

    /// Returns the result, if the call was made.
    pub(in crate::consumer) fn made(&self) -> Option<CallResult> {
        match self.state() {
            CallState::Made(result) => Some(result),
            _ => None,
        }
    }

    /// Forgets what the store said of the message: another one of its key has failed since.
    pub(in crate::consumer) fn ask_again(&self) {
        if let CallState::Needed | CallState::NotNeeded = self.state() {
            self.set(CallState::Unknown);
        }
    }

    /// Keeps a result, and forgets everything else: the message is handled later.
    pub(in crate::consumer) fn forget_unless_made(&self) {
        if self.made().is_none() {
            self.set(CallState::Unknown);
        }
    }
}
