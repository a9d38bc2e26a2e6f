//! Observers of what a program does to its topics.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError, RwLock};

/// What a program did to a topic, after the commit.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TopicEvent {
    /// A topic was made.
    Created {
        /// Its name.
        topic: Arc<str>,
    },
    /// A topic was dropped.
    Dropped {
        /// Its name.
        topic: Arc<str>,
    },
    /// A record was appended.
    Appended {
        /// Its topic.
        topic: Arc<str>,
        /// Its id.
        id: i64,
    },
    /// A record was refused or skipped.
    Duplicate {
        /// Its topic.
        topic: Arc<str>,
        /// The record with the same dedup fields.
        existing: i64,
    },
    /// A consumer has handled a record.
    Handled {
        /// Its topic.
        topic: Arc<str>,
        /// The consumer.
        consumer: Arc<str>,
        /// The record.
        id: i64,
    },
    /// A consumer that reads its new records has been overtaken by the retention rule of the topic. It hears of it again until it
    /// has handled the first record that is left.
    Expired {
        /// The topic.
        topic: Arc<str>,
        /// The consumer.
        consumer: Arc<str>,
        /// How many records were deleted so far before it had handled them.
        records: u64,
    },
}

type Observer = Arc<dyn Fn(&TopicEvent) + Send + Sync>;

/// The observers of one handle and its clones.
#[derive(Clone, Default)]
pub(crate) struct Observers(Arc<RwLock<Vec<Observer>>>);

impl Observers {
    pub(crate) fn add(&self, observer: Observer) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).push(observer);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Calls every observer. One that panics disturbs neither the others nor the caller.
    pub(crate) fn notify(&self, event: &TopicEvent) {
        // Copied: an observer may use the topics, and add observers.
        let observers = self.0.read().unwrap_or_else(PoisonError::into_inner).clone();
        for observer in observers {
            if catch_unwind(AssertUnwindSafe(|| observer(event))).is_err() {
                tracing::error!(?event, "observer of topics panicked");
            }
        }
    }
}

impl fmt::Debug for Observers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.read().unwrap_or_else(PoisonError::into_inner).len();
        f.debug_tuple("Observers").field(&count).finish()
    }
}
