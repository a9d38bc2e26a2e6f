//! Giving the records of a typed topic another form.

use std::future::Future;
use std::sync::Arc;

use bytes::Bytes;
use messagekit::adapter::MAX_PAYLOAD_BYTES;
use messagekit::{Error, ErrorKind};

use super::{PipelineStore, TopicDefinition};

/// A record in its next form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MigratedRecord {
    /// Its id, which it keeps.
    pub id: i64,
    /// Its new payload.
    pub payload: Bytes,
    /// Its new key. It stays in its partition.
    pub key: Option<Bytes>,
    /// Its new dedup hash.
    pub dedup_hash: Option<String>,
}

impl MigratedRecord {
    /// Refuses a record of a topic whose next form is too large.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] with the record.
    pub fn check(&self, topic: &str) -> Result<(), Error> {
        if self.payload.len() <= MAX_PAYLOAD_BYTES {
            return Ok(());
        }
        let text = "record in its new form is larger than the limit";
        Err(Error::new(ErrorKind::TooLarge, text).with("topic", topic).with("record", self.id))
    }
}

/// Refuses the migration of a topic whose records workers hold by claims, or whose readers outside of the database know the form of its
/// records.
///
/// # Errors
/// [`ErrorKind::WrongState`] with the topic.
pub fn check_migratable(topic: &str, is_held: bool, is_published: bool) -> Result<(), Error> {
    let text = match (is_held, is_published) {
        (true, _) => "workers hold records of the topic: stop them, or wait for the end of their leases",
        (false, true) => {
            "topic is published to a broker: its readers know the form of its records, and a migration would not reach them"
        }
        (false, false) => return Ok(()),
    };
    Err(Error::new(ErrorKind::WrongState, text).with("topic", topic))
}

/// Refuses to swap the records of a topic whose definition is not the one that its migration began with.
///
/// # Errors
/// [`ErrorKind::Conflict`] with the topic: open it again.
pub fn check_unchanged(began_with: &TopicDefinition, now: Option<&TopicDefinition>) -> Result<(), Error> {
    if now == Some(began_with) {
        return Ok(());
    }
    let text = "topic was changed while it was migrated: open it again";
    Err(Error::new(ErrorKind::Conflict, text).with("topic", &began_with.name))
}

/// Creates the error for a migration that another one has replaced.
pub fn migration_was_replaced(topic: &str) -> Error {
    let text = "another migration of the topic has begun: migrate it again";
    Error::new(ErrorKind::Conflict, text).with("topic", topic)
}

/// What became of a migration that was to be finished.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// All records have their next form.
    Done,
    /// Records were appended that have no next form yet: stage them, and swap again.
    Behind,
    /// Two records would have the same dedup fields; nothing was changed.
    Duplicate {
        /// The later record.
        record: i64,
        /// The earlier one.
        existing: i64,
    },
}

/// A database whose typed topics can be migrated.
///
/// The next form of all records is written beside them in commits of their own, while no transaction is open in the function that makes
/// it. One transaction then swaps everything: payloads, keys, dedup hashes, the definition, and the copies in open failed messages. Ids,
/// offsets, times and what consumers have handled stay. Only one migration of a topic may run: work
/// [alone](PipelineStore::work_alone) under its [name](Self::migration_name). What a process leaves that dies is deleted by the next
/// migration of the topic, and by a cleanup, which finds the name free.
pub trait TopicMigration: PipelineStore {
    /// Returns the name under which the migration of a topic works alone.
    fn migration_name(topic: &str) -> String {
        format!("migration:{topic}")
    }

    /// Removes what an earlier migration of the topic has left, and returns the name of a new one.
    ///
    /// A call of an earlier migration may still be queued after its caller was dropped: it has another name, and changes nothing of
    /// this one.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] for a topic that was not defined.
    /// [`ErrorKind::WrongState`] for one that is published to a broker, or of which a worker holds records. A
    /// transient error if the database does not answer: retry.
    fn begin_migration(&self, topic: &Arc<str>) -> impl Future<Output = Result<String, Error>> + Send;

    /// Writes the next form of records. One that was deleted meanwhile is passed over.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] for a record over the limit. A transient error if the database does not answer:
    /// retry.
    fn stage(
        &self,
        topic: &Arc<str>,
        migration: &str,
        records: Vec<MigratedRecord>,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes what a migration has written that ends without a swap.
    ///
    /// # Errors
    /// A transient error if the database does not answer: a cleanup deletes it later.
    fn abandon_migration(&self, topic: &Arc<str>) -> impl Future<Output = Result<(), Error>> + Send {
        let _ = topic;
        std::future::ready(Ok(()))
    }

    /// Swaps all records and the definition, if the topic still has the definition `from`, no record behind `through`, and the next form of
    /// each of its records is there.
    ///
    /// # Errors
    /// [`ErrorKind::Conflict`] if the definition has changed, or another migration has begun.
    /// [`ErrorKind::WrongState`] if the topic is published to a broker now, or a worker holds records of it. A
    /// transient error if the database does not answer: retry.
    fn swap(
        &self,
        migration: &str,
        from: &TopicDefinition,
        to: &TopicDefinition,
        through: i64,
    ) -> impl Future<Output = Result<Swap, Error>> + Send;
}
