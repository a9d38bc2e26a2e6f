//! A database with transactions.

use std::error::Error as StdError;
use std::future::Future;
use std::time::Duration;

use super::transact::{End, TransactError, Work};
use crate::{Error, ErrorKind};

/// A database whose transactions contain a handler's effects, the consumer's marker and new events.
///
/// A clone is another handle of the same database.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a store",
    note = "a store comes from an adapter: `messagekit_sqlite::SqliteStore`, or `messagekit_memory::MemoryStore` in tests"
)]
pub trait Store: Clone + Send + Sync + 'static {
    /// An open transaction. Dropping it rolls it back.
    type Tx: Send + 'static;

    /// Returns a handle whose transactions cancel a statement that takes longer than `limit`, if the database supports it. A
    /// consumer passes its handlers' deadline plus one second, so a statement that a handler leaves running does not block its
    /// lane. The default has no limit.
    #[must_use]
    fn limited(&self, _limit: Duration) -> Self {
        self.clone()
    }

    /// Returns how long the store lets a transaction run. The default is `None`, for a store that has no such limit.
    fn transaction_timeout(&self) -> Option<Duration> {
        None
    }

    /// Begins a transaction.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] or [`ErrorKind::Conflict`] if the database cannot begin now; a retry is useful.
    /// [`ErrorKind::WouldDeadlock`] if the calling task already holds the only possible transaction. Code that must run over
    /// every store therefore opens at most one transaction per task.
    ///
    /// # Cancel safety
    /// A dropped call leaves no transaction open.
    fn begin(&self) -> impl Future<Output = Result<Self::Tx, Error>> + Send;

    /// Commits. It returns `Ok` only if every statement of the transaction is durable.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`] if a statement had failed, its error was ignored, and the database kept nothing.
    /// [`ErrorKind::OutcomeUnknown`] if the answer was lost. [`ErrorKind::Conflict`] if the database preferred another
    /// transaction: run the transaction again.
    ///
    /// # Cancel safety
    /// A dropped call may have committed or not. Use [`transact`](Self::transact), or await the call to its end.
    fn commit(&self, tx: Self::Tx) -> impl Future<Output = Result<(), Error>> + Send;

    /// Rolls the transaction back.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the connection was lost; the database then rolls back by itself.
    fn rollback(&self, tx: Self::Tx) -> impl Future<Output = Result<(), Error>> + Send;

    /// Runs `work` in a transaction and commits or rolls back, as the work requests. The consumer loop uses this method.
    ///
    /// The default begins, runs the work on the caller's task, and commits on a separate task. Dropping the returned future
    /// therefore never leaves a commit half-awaited. A store with one writer thread may run the work on that thread.
    ///
    /// # Errors
    /// [`TransactError`] names the step that failed. Nothing was kept, except possibly for `Unknown`.
    ///
    /// # Cancel safety
    /// If the future is dropped before the commit, the transaction rolls back. If it is dropped during the commit, the commit
    /// still completes.
    fn transact<R: Send + 'static>(
        &self,
        work: Work<Self::Tx, R>,
    ) -> impl Future<Output = Result<R, TransactError>> + Send {
        transact(self, work)
    }

    /// Returns the kind that an error of a handler has in this database, or `None` if the error is not one of this database.
    ///
    /// Inspects one error of a chain and not its sources.
    fn classify(_error: &(dyn StdError + 'static)) -> Option<ErrorKind> {
        None
    }
}

/// Classifies an error or one of its sources with the store; errors of this crate carry their own kind.
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

async fn transact<S: Store, R: Send + 'static>(store: &S, work: Work<S::Tx, R>) -> Result<R, TransactError> {
    let tx = store.begin().await.map_err(TransactError::Begin)?;
    match work(tx).await {
        (tx, End::Commit(result)) => {
            let store = store.clone();
            let committed = tokio::spawn(async move { store.commit(tx).await }).await;
            match committed {
                Ok(Ok(())) => Ok(result),
                Ok(Err(error)) if error.kind() == ErrorKind::OutcomeUnknown => {
                    Err(TransactError::Unknown(error))
                }
                Ok(Err(error)) => Err(TransactError::Commit(error)),
                Err(join) => Err(TransactError::Unknown(
                    Error::new(ErrorKind::OutcomeUnknown, "commit did not come back").caused_by(join),
                )),
            }
        }
        (tx, End::Rollback(result)) => {
            // A failed rollback ends the connection, and the database then rolls back.
            if let Err(error) = store.rollback(tx).await {
                tracing::debug!(error = %crate::error::chain(&error), "rollback not confirmed");
            }
            Ok(result)
        }
    }
}
