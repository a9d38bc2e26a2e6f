//! What the handles of one database share.

use std::any::Any;
use std::sync::Arc;

use crate::TopicEvent;
use crate::observer::Observers;

/// A database with the observers of this program. A clone is another handle.
#[derive(Clone)]
pub(crate) struct Shared<S> {
    pub(crate) store: S,
    pub(crate) observers: Observers,
    /// The folder of a file without a path of its own, removed with the last handle.
    _folder: Option<Arc<dyn Any + Send + Sync>>,
}

impl<S> Shared<S> {
    pub(crate) fn of(store: S) -> Self {
        Self { store, observers: Observers::default(), _folder: None }
    }

    /// Tells the observers that a consumer has lost records, unless they were `told` of as many.
    pub(crate) fn notify_overtaken(
        &self,
        topic: &Arc<str>,
        consumer: &Arc<str>,
        overtaken: Option<u64>,
        told: &mut Option<u64>,
    ) {
        if overtaken == *told {
            return;
        }
        *told = overtaken;
        if let Some(records) = overtaken {
            tracing::warn!(%topic, %consumer, records, "retention has deleted records that were not handled");
            self.observers.notify(&TopicEvent::Expired {
                topic: topic.clone(),
                consumer: consumer.clone(),
                records,
            });
        }
    }

    /// Keeps a folder as long as there is a handle.
    #[cfg(feature = "sqlite")]
    pub(crate) fn inside(self, folder: impl Any + Send + Sync) -> Self {
        Self { _folder: Some(Arc::new(folder)), ..self }
    }
}
