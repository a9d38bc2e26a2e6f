//! Runs of messages that may end their process.

use std::future::Future;

use crate::{Error, MessageId};

/// The in-flight attempts of consumers, which identify a poison message.
///
/// An attempt belongs to a message, or to the first messages of a lane as a batch.
/// A batch has an id that no message has: `at:`, the lane's name, `/first`. After an assignment, the consumer records one
/// attempt for the first batch of a lane and handles the batch normally. If an attempt of another run already exists, a process
/// crashed in that batch. The consumer then runs the messages of the batch one at a time and nothing else meanwhile. It records
/// an attempt before each handler: the message with the attempt at the time of a crash is the culprit. Consumers of one process
/// do not wait for each other, so each of them may have recorded an attempt.
pub trait Attempts<Tx: Send>: Send + Sync + 'static {
    /// Records, in a separate transaction, that the run `by` is about to handle `message`, a message or a batch. Returns the
    /// number of attempts of other runs: runs that crashed, and runs that handle a copy at this moment. Each run of a consumer
    /// has a unique name and at most one attempt per message or batch.
    ///
    /// # Errors
    /// A transient error if the database does not answer: do not run the handler, retry.
    fn begin_attempt(
        &self,
        consumer: &str,
        message: &MessageId,
        by: &str,
    ) -> impl Future<Output = Result<u32, Error>> + Send;

    /// Deletes all attempts of the message or batch, in the transaction that applies it or sets it aside.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) if the transaction has already ended.
    fn clear_attempts(
        &self,
        tx: &mut Tx,
        consumer: &str,
        message: &MessageId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes the attempt of `by`, in a separate transaction: the run did not finish, and its process did not crash. The
    /// attempts of other runs stay.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn withdraw_attempt(
        &self,
        consumer: &str,
        message: &MessageId,
        by: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Deletes the attempts of messages that have a marker, because another process has finished them. The consumer calls it
    /// when it starts.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn clear_finished_attempts(&self, consumer: &str) -> impl Future<Output = Result<(), Error>> + Send;
}
