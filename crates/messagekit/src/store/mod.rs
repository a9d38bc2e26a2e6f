//! What a database gives the framework: transactions, and rows inside them.
//!
//! [`Store`] is the transaction; [`Processed`], [`Offsets`], [`SetAside`], [`Retries`] and [`InFlightAttempts`] are what a
//! consumer writes in it, together called [`Inbox`]; [`OutboxRows`] is what a writer needs. Stores move
//! [`Message`](crate::Message)s and never decode payloads.

mod bookkeeping;
mod failure;
mod in_flight_attempts;
mod no_store;
mod offsets;
mod outbox;
mod processed;
mod retries;
mod set_aside;
mod transact;
mod wake;

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

pub use bookkeeping::{Bookkeeping, BrokerDeadLetter, Redelivery};
pub use failure::{Failure, FailureKind, Next};
pub use in_flight_attempts::InFlightAttempts;
pub use no_store::NoStore;
pub use offsets::{NextOffset, Offsets};
pub use outbox::{Outbox, OutboxRows, WithoutRelay};
pub use processed::{Claim, ClaimRequest, Processed, claim};
pub use retries::{Follower, Retries, RetryLease};
pub use set_aside::{ParkingLimits, ReceivedMessage, SetAside, SetAsideOutcome};
pub use transact::{BoxFuture, End, TransactError, Work};
pub use wake::Wake;

use crate::{Error, ErrorKind};

/// A database whose transactions a handler's effects, the consumer's marker and new events share.
///
/// Cloning gives another handle of the same database.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store",
    note = "a store comes from an adapter: `messagekit_sqlite::SqliteStore`, or `messagekit::memory::MemoryStore` in tests"
)]
pub trait Store: Clone + Send + Sync + 'static {
    /// An open transaction; dropping it rolls it back.
    type Tx: Send + 'static;

    /// Returns a handle whose transactions end a statement that takes longer than `limit`, where the database can: a
    /// consumer asks for its handlers' deadline and a second, so that what a handler leaves behind does not hold its lane.
    /// By default there is no such limit.
    #[must_use]
    fn limited(&self, _limit: Duration) -> Self {
        self.clone()
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::Conflict`] when the database cannot now; [`ErrorKind::WouldDeadlock`]
    /// when the calling task already holds the only one there can be. Code that must run over every store therefore has at
    /// most one transaction open per task.
    ///
    /// # Cancel safety
    /// A dropped call leaves no transaction open.
    fn begin(&self) -> impl Future<Output = Result<Self::Tx, Error>> + Send;

    /// Commits, and answers `Ok` only when every statement of the transaction is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`] when a statement had failed and the database kept nothing although nobody looked at the
    /// error; [`ErrorKind::OutcomeUnknown`] when the answer was lost; [`ErrorKind::Conflict`] when the database chose
    /// another transaction.
    ///
    /// # Cancel safety
    /// A dropped call may have committed or not. Use [`transact`](Self::transact), or await it to the end.
    fn commit(&self, tx: Self::Tx) -> impl Future<Output = Result<(), Error>> + Send;

    /// Rolls back.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when the connection was lost; the database rolls back by itself then.
    fn rollback(&self, tx: Self::Tx) -> impl Future<Output = Result<(), Error>> + Send;

    /// Runs `work` in a transaction and ends it as the work says: the loop's way in.
    ///
    /// The default begins, runs the work on the caller's task, and commits on a task of its own, so that dropping the
    /// returned future never leaves a commit half-awaited. A store with one writer thread may run the work there.
    ///
    /// # Errors
    /// [`TransactError`] says at which step: nothing was kept, except for `Unknown`.
    ///
    /// # Cancel safety
    /// Dropped before the commit: rolled back. Dropped during the commit: the commit ends by itself.
    fn transact<R: Send + 'static>(
        &self,
        work: Work<Self::Tx, R>,
    ) -> impl Future<Output = Result<R, TransactError>> + Send {
        transact::transact(self, work)
    }

    /// Says what an error that came out of a handler means to this database, or `None` when it is not one of its own.
    ///
    /// Looks at one error of a chain, not at its sources.
    fn classify(_error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
        None
    }
}

/// Everything a consumer needs of its database.
pub trait Inbox: Processed + Offsets + SetAside + Retries + InFlightAttempts {}

impl<S: Processed + Offsets + SetAside + Retries + InFlightAttempts> Inbox for S {}

/// Finds what a store says about an error or one of its sources; errors of this crate speak for themselves.
pub(crate) fn classify<S: Store>(error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(own) = error.downcast_ref::<Error>() {
            return Some(own.kind());
        }
        if let Some(kind) = S::classify(error) {
            return Some(kind);
        }
        next = error.source();
    }
    None
}
