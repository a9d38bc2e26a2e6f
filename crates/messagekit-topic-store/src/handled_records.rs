//! What consumers have handled of typed topics.

use std::future::Future;
use std::sync::Arc;

use messagekit::Store;
use messagekit::{Error, ErrorKind};

/// Creates the error for a record that a topic does not have.
pub fn no_record(topic: &str, id: i64) -> Error {
    Error::new(ErrorKind::NotFound, "topic has no such record").with("topic", topic).with("record", id)
}

/// Creates the error for a record that is to be handled and is an open failed message of the consumer.
pub fn record_has_failed(topic: &str, id: i64) -> Error {
    let text = "record is a failed message of the consumer: retry or discard that";
    Error::new(ErrorKind::WrongState, text).with("topic", topic).with("record", id)
}

/// The records of typed topics that consumers have handled.
pub trait HandledRecords: Store {
    /// Notes that a consumer has handled a record of a topic, now, also if it had before.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the topic has no such record.
    /// [`ErrorKind::WrongState`] if the record is an open failed message of the consumer: retry or
    /// discard that. A transient error if the database does not answer: retry.
    fn set_handled(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// As [`set_handled`](Self::set_handled), in a commit of its own that it may share with other calls.
    ///
    /// # Errors
    /// As [`set_handled`](Self::set_handled).
    fn set_handled_now(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Forgets how far a consumer is in a topic, and ends its claims there: retention waits for it no longer, and if it reads the topic again,
    /// it begins as a new one. Markers of what it has handled and its failed messages stay. Returns false if it has not read the topic.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn drop_consumer(
        &self,
        topic: &Arc<str>,
        consumer: &str,
    ) -> impl Future<Output = Result<bool, Error>> + Send;
}
