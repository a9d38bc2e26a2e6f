//! What pipelines over typed topics ask of a database.

use std::future::Future;
use std::sync::Arc;

use messagekit::adapter::{BoxFuture, Markers, RetryLease};
use messagekit::{Error, MessageId};

use super::TopicStore;

/// The right to work under a name, which ends with its drop or with its process.
pub trait NameHolder: Send + Sync {}

/// A database whose topics pipelines connect.
pub trait PipelineStore: TopicStore + Markers {
    /// Waits until no other task or process works under a name in this database, and takes it.
    ///
    /// # Errors
    /// [`ErrorKind::Closed`](messagekit::ErrorKind::Closed) if the database was closed. A transient error if the name cannot be asked for.
    ///
    /// # Cancel safety
    /// A dropped call has taken nothing.
    fn work_alone<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Box<dyn NameHolder>, Error>>;

    /// Describes the process that works under a name, for people. `None` if no process does, or the database does not tell.
    fn worker_of<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Option<String>>;

    /// Returns the id of the record that was appended last, 0 before the first. What was committed before the call and waits for its offset
    /// has one by then.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn last_record(&self) -> impl Future<Output = Result<i64, Error>> + Send;

    /// Marks those records as handled that the consumer has not handled, in one call, and returns for each whether it was one. A record
    /// that is a failed message, was discarded or is deleted is none.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that was not defined. A transient error if the database does
    /// not answer: roll back and retry.
    fn handle_new(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        topic: &Arc<str>,
        ids: &[i64],
    ) -> impl Future<Output = Result<Vec<bool>, Error>> + Send;

    /// Leases the failed message of a record, due or not, until another call leases it: the caller is [alone](Self::work_alone). Returns
    /// `None` if the record is no failed message that may run: it was resolved, discarded, or is dead.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn lease_record(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> impl Future<Output = Result<Option<RetryLease>, Error>> + Send;

    /// Returns the correlation of each of these events that has one. What a pipeline makes of an event belongs to the same; without an
    /// answer, the event is the first of its correlation.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn correlations(
        &self,
        ids: &[MessageId],
    ) -> impl Future<Output = Result<Vec<(MessageId, MessageId)>, Error>> + Send {
        let _ = ids;
        std::future::ready(Ok(Vec::new()))
    }

    /// Returns the address of the database, which handles of the same database have in common. It holds no password.
    fn address(&self) -> String;

    /// Returns whether another handle is of the same database.
    fn is_same_database(&self, other: &Self) -> bool {
        self.address() == other.address()
    }
}
