//! Whether events leave the outbox.

use std::time::Duration;

use crate::Error;
use crate::relay::RejectedEvents;
use crate::store::BoxFuture;

/// What is waiting to be published, as far as the database can tell.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxLag {
    /// How many events have not provably left.
    pub pending: u64,
    /// How many of them are older than ten seconds.
    pub overdue: u64,
    /// The age of the oldest of them.
    pub oldest: Option<Duration>,
    /// What stands in the way, in words for people: the slot is inactive, lost, missing. Empty when nothing does.
    pub problems: Vec<String>,
}

/// Measuring the lag of an outbox.
pub trait OutboxHealth: Send + Sync {
    /// Asks for a sign of life.
    ///
    /// # Errors
    /// When the database does not answer, or lacks the tables.
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Measures what is waiting. Where changes are captured from the database's log, the position that was confirmed is
    /// turned into a time by the checkpoints that [`checkpoint`](Self::checkpoint) has left.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>>;

    /// Notes time and position of the log, unless somebody did so within `every`. Whoever serves health or metrics calls it
    /// all the time; a database without a log has nothing to note.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>>;

    /// Returns what a relay has set aside; `None`, as by default, where none can publish this outbox.
    fn rejected_events(&self) -> Option<&dyn RejectedEvents> {
        None
    }
}

/// Everything that the operators' side needs of a database.
pub trait Operations: crate::FailedMessages + crate::Replays + OutboxHealth {}

impl<T: crate::FailedMessages + crate::Replays + OutboxHealth + ?Sized> Operations for T {}
