//! Retention of topics in a backend.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::store::BoxFuture;

/// The retention of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRetention {
    /// The topic.
    pub topic: Arc<str>,
    /// Retention counted from the write of a record; `None` if records never expire.
    pub time: Option<Duration>,
}

/// Reads the retention of topics from a backend.
pub trait RetentionProbe: Send + Sync {
    /// Returns the current settings. Topics that do not exist yet are left out.
    ///
    /// # Errors
    /// A transient error if the backend does not answer in time: retry. A permanent error if the backend does not report
    /// retention.
    fn retention(&self) -> BoxFuture<'_, Result<Vec<TopicRetention>, Error>>;
}
