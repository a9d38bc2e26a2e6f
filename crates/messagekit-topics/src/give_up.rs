//! Records that a consumer gives up.

use messagekit::adapter::{Failure, FailureKind, in_transaction};
use messagekit::{Error as CoreError, ErrorKind};
use messagekit_topic_store::TopicStore;

use crate::{Error, Topic};

impl<T, S: TopicStore> Topic<T, S>
where
    T: serde::de::DeserializeOwned,
{
    /// Gives up a record that no attempt can handle: it becomes a dead failed message of the consumer with this error, and is not new any
    /// more. A record that the consumer has handled, or that is its failed message already, stays as it is.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the topic has no such record. A transient error if the file is busy: retry.
    pub async fn give_up(&self, id: i64, error: &str) -> Result<(), Error> {
        let Some(found) = self.stored(id).await? else {
            let error = CoreError::new(ErrorKind::NotFound, "topic has no such record");
            return Err(error.with("topic", self.name()).with("record", id).into());
        };
        let received = found.record.received();
        let dead = Failure::permanent(FailureKind::Undecodable, error);
        let store = &self.shared.store;
        in_transaction(store, async |tx| {
            store.set_aside(tx, &self.consumer, &received, &dead).await?;
            Ok(())
        })
        .await?;
        Ok(())
    }
}
