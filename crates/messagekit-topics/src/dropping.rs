//! Dropping topics.

use std::sync::Arc;

use messagekit_topic_store::{OnSources, TopicStore};

use crate::{Error, TopicEvent, Topics};

impl<S: TopicStore> Topics<S> {
    /// Drops a topic: its records, its rules, what consumers have handled, and what it knows of duplicates. A topic that is made again
    /// under its name has nothing of it.
    ///
    /// It is gone at once. Its rows are deleted in short transactions behind that; if this process dies meanwhile, the next drop or
    /// `messagekit cleanup` goes on. Readers, followers and handles of the topic get [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound),
    /// and claims of its records [`ErrorKind::ClaimLost`](messagekit::ErrorKind::ClaimLost). Its failed messages stay.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) if there is no such topic.
    /// [`ErrorKind::WrongState`](messagekit::ErrorKind::WrongState) while tables feed it: see [`drop_with_sources`](Self::drop_with_sources);
    /// and while a relay has not published all of its events from a file. A transient error if the database is busy: retry.
    ///
    /// # Cancel safety
    /// A dropped call has dropped the topic, or not; rows may be left, as when the process dies.
    pub async fn drop(&self, name: impl Into<Arc<str>>) -> Result<(), Error> {
        self.drop_by(name.into(), OnSources::Refuse).await
    }

    /// As [`drop`](Self::drop), with the table sources of the topic.
    ///
    /// # Errors
    /// As [`drop`](Self::drop).
    ///
    /// # Cancel safety
    /// As [`drop`](Self::drop); some sources may be dropped, and the topic not.
    pub async fn drop_with_sources(&self, name: impl Into<Arc<str>>) -> Result<(), Error> {
        self.drop_by(name.into(), OnSources::Drop).await
    }

    pub(crate) async fn drop_by(&self, topic: Arc<str>, on_sources: OnSources) -> Result<(), Error> {
        self.store().drop_topic(&topic, on_sources).await?;
        self.shared().observers.notify(&TopicEvent::Dropped { topic });
        while self.store().clear_dropped().await? > 0 {}
        Ok(())
    }

    /// Deletes the records of a topic in short transactions, and returns how many. The topic keeps its rules, its offsets go on, and what it
    /// knows of duplicates stays.
    ///
    /// A consumer that had not handled them is told, as when retention deletes records. What a relay has not published yet stays.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) if there is no such topic. A transient error if the database is busy: retry.
    ///
    /// # Cancel safety
    /// A dropped call has deleted a part.
    pub async fn clear(&self, name: impl Into<Arc<str>>) -> Result<u64, Error> {
        let (topic, mut deleted) = (name.into(), 0);
        loop {
            match self.store().clear_topic(&topic).await? {
                0 => return Ok(deleted),
                records => deleted += records,
            }
        }
    }
}
