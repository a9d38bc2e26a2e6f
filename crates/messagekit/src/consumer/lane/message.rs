//! A message that waits in a lane.

use std::sync::Arc;

use super::call_slot::CallSlot;
use crate::consumer::settings::Settings;
use crate::handler::Task;
use crate::store::{Failure, ReceivedMessage, Store};
use crate::transport::Receipt;
use crate::{Message, Position};

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
    /// Finds the task of a message, and logs its type if no handler takes it.
    pub(in crate::consumer) fn new(
        settings: &Settings<S>,
        message: Message,
        position: Option<Position>,
    ) -> Arc<Self> {
        let (received, task) = settings.router.prepare(message, position);
        let task = match task {
            Task::SetAside(failure) => settings.task_of_failed(failure),
            task => task,
        };
        let prepared = Self { received, task, call: CallSlot::default() };
        if let Some(event_type) = prepared.unhandled_type() {
            settings.unhandled_types.log_first(&settings.name, event_type, || settings.router.types());
        }
        Arc::new(prepared)
    }

    pub(in crate::consumer) fn is_handled(&self) -> bool {
        matches!(self.task, Task::Handle { .. })
    }

    /// Returns the event type of a message that no handler takes, empty if it has none.
    pub(in crate::consumer) fn unhandled_type(&self) -> Option<&str> {
        let Task::Ignore(event_type) = &self.task else { return None };
        Some(event_type.as_deref().or_else(|| self.received.message.event_type()).unwrap_or_default())
    }

    /// Returns the same message with the task that its failure has, whose handler does not run.
    pub(in crate::consumer) fn failed_with(&self, settings: &Settings<S>, failure: Failure) -> Arc<Self> {
        let (received, task) = (self.received.clone(), settings.task_of_failed(failure));
        Arc::new(Self { received, task, call: CallSlot::default() })
    }
}
