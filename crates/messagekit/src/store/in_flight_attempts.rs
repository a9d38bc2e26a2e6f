//! What is being handled while nobody knows yet whether it ends its process.

use std::future::Future;

use super::Store;
use crate::{Error, MessageId};

/// Finding the message that ends its processes. A suspect is a message, or the first ones of a lane together, under an id that
/// no message has: `at:`, the lane's name, `/first`.
///
/// After an assignment the first batch of a lane is noted here as a whole and handled like any other. When a note of it stands
/// already, a process has died in it, and its messages run one at a time in the whole consumer, each noted before its handler
/// starts: whoever is noted when the process dies is the culprit. Consumers of one process do not wait for each other, so each of
/// them may have noted one.
#[diagnostic::on_unimplemented(message = "`{Self}` does not count the deaths of a process")]
pub trait InFlightAttempts: Store {
    /// Notes, in a transaction of its own, that `by` is about to handle the suspect. Returns how many others have noted it
    /// and not answered: processes that died of it, and those that handle a copy of it at this moment. Each run of a consumer
    /// goes by a name of its own, and has one note of a suspect.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn begin_attempt(
        &self,
        consumer: &str,
        suspect: &MessageId,
        by: &str,
    ) -> impl Future<Output = Result<u32, Error>> + Send;

    /// Forgets all notes of the suspect, in the transaction that applies it or sets it aside.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) when the transaction had ended.
    fn clear_attempts(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        suspect: &MessageId,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes the note of `by` back, in a transaction of its own: the suspect did not run to its end, and the process lives.
    /// The notes of others stay.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn withdraw_attempt(
        &self,
        consumer: &str,
        suspect: &MessageId,
        by: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Forgets the notes of messages that have a marker: somebody else has finished them. For the start of a consumer.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn clear_finished_attempts(&self, consumer: &str) -> impl Future<Output = Result<(), Error>> + Send;
}
