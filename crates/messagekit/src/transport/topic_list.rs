//! The topics that a backend has.

use crate::Error;
use crate::store::BoxFuture;

/// Lists the topics of a backend.
pub trait TopicList: Send + Sync {
    /// Returns the names of all topics that exist and are visible to this client.
    ///
    /// # Errors
    /// A transient error if the backend does not answer in time: retry. A permanent error if it does not list topics.
    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, Error>>;
}
