//! A message that waits in a lane.

use std::sync::Arc;

use super::call_slot::CallSlot;
use crate::consumer::settings::Settings;
use crate::handler::Task;
use crate::store::{Failure, ReceivedMessage, Store};
use crate::transport::Receipt;

/// A prepared delivery.
pub(in crate::consumer) struct QueuedMessage<S: Store> {
    pub(in crate::consumer) receipt: Receipt,
    pub(in crate::consumer) prepared: Arc<PreparedMessage<S>>,
}

/// A message and its task.
pub(in crate::consumer) struct PreparedMessage<S: Store> {
    pub(in crate::consumer) received: ReceivedMessage,
    pub(in crate::consumer) task: Task<S>,
    /// The call of its message, if its handler has two phases.
    pub(in crate::consumer) call: CallSlot,
}

impl<S: Store> PreparedMessage<S> {
    pub(in crate::consumer) fn new(received: ReceivedMessage, task: Task<S>) -> Self {
        Self { received, task, call: CallSlot::default() }
    }

    pub(in crate::consumer) fn is_handled(&self) -> bool {
        matches!(self.task, Task::Handle { .. })
    }

    /// Logs its type if no handler takes it.
    pub(in crate::consumer) fn log_unhandled_type(&self, settings: &Settings<S>) {
        if let Some(event_type) = self.unhandled_type() {
            settings.unhandled_types.log_first(&settings.name, event_type, || settings.router.types());
        }
    }

    /// Returns the event type of a message that no handler takes, empty if it has none.
    pub(in crate::consumer) fn unhandled_type(&self) -> Option<&str> {
        let Task::Ignore(event_type) = &self.task else { return None };
        Some(event_type.as_deref().or_else(|| self.received.message.event_type()).unwrap_or_default())
    }

    /// Returns the same message with the task to set it aside.
    pub(in crate::consumer) fn set_aside(&self, failure: Failure) -> Arc<Self> {
        Arc::new(Self::new(self.received.clone(), Task::SetAside(failure)))
    }
}
