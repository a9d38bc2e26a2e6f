//! The call of a message, between its end and the commit of its effects.

use std::sync::{Mutex, PoisonError};

use super::handler_run::Called;
use crate::store::Failure;

/// What became of the call of a message. It outlives transactions: a rollback repeats no call.
#[derive(Default)]
pub(super) struct CallSlot(Mutex<Option<CallEnded>>);

pub(super) enum CallEnded {
    Made(Called),
    /// It failed beside an earlier message, and is answered after that one.
    Failed(Failure),
}

impl CallSlot {
    /// Returns the call, if it was made.
    pub(super) fn made(&self) -> Option<Called> {
        match &*self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(CallEnded::Made(called)) => Some(called.clone()),
            Some(CallEnded::Failed(_)) | None => None,
        }
    }

    /// Forgets the call: the next run of its message makes another.
    pub(super) fn clear(&self) {
        self.set(None);
    }

    pub(super) fn set(&self, ended: Option<CallEnded>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = ended;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none()
    }

    /// Takes a failure out.
    pub(super) fn take_failure(&self) -> Option<Failure> {
        let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match slot.take() {
            Some(CallEnded::Failed(failure)) => Some(failure),
            other => {
                *slot = other;
                None
            }
        }
    }
}
