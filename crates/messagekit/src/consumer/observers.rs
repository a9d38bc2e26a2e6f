//! The observers of a consumer: they see what became of each message.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::delivered::Delivered;
use crate::store::ReceivedMessage;

type Observer = dyn Fn(&ReceivedMessage, &Delivered) + Send + Sync;

/// The observers, in the order in which they were added.
#[derive(Clone, Default)]
pub(super) struct Observers(Vec<Arc<Observer>>);

impl Observers {
    pub(super) fn add(&mut self, observer: impl Fn(&ReceivedMessage, &Delivered) + Send + Sync + 'static) {
        self.0.push(Arc::new(observer));
    }

    /// Returns whether anyone wants to know: outcomes are not collected otherwise.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Shows each observer a message whose outcome is committed. A panic ends only the observer's own look: the message is settled.
    pub(super) fn see(&self, consumer: &str, received: &ReceivedMessage, outcome: &Delivered) {
        for observer in &self.0 {
            if catch_unwind(AssertUnwindSafe(|| observer(received, outcome))).is_err() {
                tracing::error!(consumer, message_id = %received.id, "an observer panicked; the message is settled");
            }
        }
    }
}
