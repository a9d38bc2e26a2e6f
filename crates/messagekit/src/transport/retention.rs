//! How long a backend keeps what was read.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::store::BoxFuture;

/// How long a topic keeps its records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicRetention {
    /// The topic.
    pub topic: Arc<str>,
    /// From when a record was written; `None` for ever.
    pub time: Option<Duration>,
}

/// Asking a backend how long it keeps the records of topics.
pub trait RetentionProbe: Send + Sync {
    /// Asks for the present settings. Topics that are not there yet are left out.
    ///
    /// # Errors
    /// Transient if the backend does not answer in time; permanent where it does not tell.
    fn retention(&self) -> BoxFuture<'_, Result<Vec<TopicRetention>, Error>>;
}
