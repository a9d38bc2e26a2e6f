//! Appends to typed topics.

use std::future::Future;

use messagekit::Store;
use messagekit::{Error, ErrorKind, Message};

/// A record to append to a topic that was defined.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewRecord {
    /// Its message, whose topic is the defined one.
    pub message: Message,
    /// The hash of the fields that no two records may have in common.
    pub dedup_hash: Option<String>,
    /// The number of the topic that it was made for.
    pub topic_id: i64,
    /// The version of the definition that it was made by.
    pub version: u32,
}

impl NewRecord {
    /// Refuses a record that was made for another topic with the same name, or for another version of its definition. The database has
    /// `topic_id` and `version`, read under its lock; the version is `None` for a topic without a definition.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for another topic, [`ErrorKind::SchemaMismatch`] for another version. Open the topic again.
    pub fn check_topic(&self, topic_id: i64, version: Option<u32>) -> Result<(), Error> {
        if self.topic_id != topic_id {
            return Err(topic_was_dropped(&self.message.topic));
        }
        if version != Some(self.version) {
            return Err(topic_was_migrated(&self.message.topic));
        }
        Ok(())
    }
}

/// Creates the error for a topic that was migrated while a program had it open.
pub fn topic_was_migrated(topic: &str) -> Error {
    let text = "topic was migrated since this program opened it: open it again with its new type";
    Error::new(ErrorKind::SchemaMismatch, text).with("topic", topic)
}

/// Creates the error for a topic that was dropped and made again while a program had it open.
pub fn topic_was_dropped(topic: &str) -> Error {
    let text = "topic was dropped and made again since this program opened it: open it again";
    Error::new(ErrorKind::NotFound, text).with("topic", topic)
}

/// What to do with a record whose dedup hash the topic knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDuplicate {
    /// Append nothing of the call.
    Refuse,
    /// Append the others.
    Skip,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppendedRecord {
    /// It was appended under this id.
    Appended(i64),
    /// The topic has this record of the same dedup hash.
    Duplicate(i64),
}

/// Appends to typed topics, with the ids of their records and the records that are equal.
pub trait RecordAppend: Store {
    /// Appends records in order, inside a transaction, and returns what became of each.
    ///
    /// Under [`OnDuplicate::Refuse`] a duplicate is the last answer, and nothing was written.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that was not defined, or was dropped since, and
    /// [`ErrorKind::SchemaMismatch`](messagekit::ErrorKind::SchemaMismatch) for one that was migrated since. As [`OutboxRows::write`](messagekit::adapter::OutboxRows::write) for a
    /// record that no topic takes.
    fn append_records(
        &self,
        tx: &mut Self::Tx,
        records: &[NewRecord],
        on_duplicate: OnDuplicate,
    ) -> impl Future<Output = Result<Vec<AppendedRecord>, Error>> + Send;

    /// As [`append_records`](Self::append_records), in a commit of its own that it may share with other calls.
    ///
    /// # Errors
    /// As [`append_records`](Self::append_records): nothing was written. The outcome may be unknown.
    fn append_now(
        &self,
        records: Vec<NewRecord>,
        on_duplicate: OnDuplicate,
    ) -> impl Future<Output = Result<Vec<AppendedRecord>, Error>> + Send;

    /// Calls a function after the commit of a transaction, and never after a rollback. It may run on the thread that writes, so it
    /// must not block.
    ///
    /// # Errors
    /// A transient error if the database does not answer: roll back and retry.
    fn after_commit(
        &self,
        tx: &mut Self::Tx,
        run: Box<dyn FnOnce() + Send>,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}
