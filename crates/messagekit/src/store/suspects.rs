//! The message that is being handled while nobody knows yet whether it ends its process.

use std::future::Future;

use super::{Received, Store};
use crate::Error;

/// Counting the deaths of processes on one message. After an assignment the first batch of a lane runs one message at a time
/// in the whole consumer, each noted here before its handler starts: whoever is noted when the process dies is the culprit.
/// Consumers of one process do not wait for each other, so each of them may have noted one.
#[diagnostic::on_unimplemented(message = "`{Self}` does not count the deaths of a process")]
pub trait Suspects: Store {
    /// Notes, in a transaction of its own, that the message is about to be handled alone. Returns how many times it was
    /// noted before without an answer: how many processes it has ended.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn suspect(&self, consumer: &str, received: &Received)
    -> impl Future<Output = Result<u32, Error>> + Send;

    /// Forgets the note, in the transaction that applies the message or sets it aside.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) when the transaction had ended.
    fn absolve(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        received: &Received,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes a note back, in a transaction of its own: the message did not run to its end, and the process lives. The deaths
    /// counted before stay.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn stand_down(
        &self,
        consumer: &str,
        received: &Received,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Forgets the notes of messages that have a marker: somebody else has finished them. For the start of a consumer.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn sweep_suspects(&self, consumer: &str) -> impl Future<Output = Result<(), Error>> + Send;
}
