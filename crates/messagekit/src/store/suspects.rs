//! The message that is being handled while nobody knows yet whether it ends its process.

use std::future::Future;
use std::time::Duration;

use super::{Received, Store};
use crate::Error;

/// What others have noted of a message and not answered: processes that died of it, and those that handle a copy of it now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unanswered {
    /// How many of them there are.
    pub notes: u32,
    /// How long until the time of the last of them is over; zero when only their deaths explain all of them.
    pub left: Duration,
}

/// Counting the deaths of processes on one message. After an assignment the first batch of a lane runs one message at a time
/// in the whole consumer, each noted here before its handler starts: whoever is noted when the process dies is the culprit.
/// Consumers of one process do not wait for each other, so each of them may have noted one.
#[diagnostic::on_unimplemented(message = "`{Self}` does not count the deaths of a process")]
pub trait Suspects: Store {
    /// Notes, in a transaction of its own, that `by` is about to handle the message alone, and will have answered within
    /// `within` of database time. Returns what others have noted of it before and not answered; a note of the same `by` takes
    /// the place of its earlier one. Each run of a consumer goes by a name of its own.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn suspect(
        &self,
        consumer: &str,
        received: &Received,
        by: &str,
        within: Duration,
    ) -> impl Future<Output = Result<Unanswered, Error>> + Send;

    /// Forgets all notes of the message, in the transaction that applies it or sets it aside.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) when the transaction had ended.
    fn absolve(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        received: &Received,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Takes the note of `by` back, in a transaction of its own: the message did not run to its end, and the process lives.
    /// The notes of others stay.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn stand_down(
        &self,
        consumer: &str,
        received: &Received,
        by: &str,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Forgets the notes of messages that have a marker: somebody else has finished them. For the start of a consumer.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn sweep_suspects(&self, consumer: &str) -> impl Future<Output = Result<(), Error>> + Send;
}
