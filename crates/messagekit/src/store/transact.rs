//! One transaction from begin to checked commit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use super::Store;
use crate::{Error, ErrorKind};

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// How a piece of work wants its transaction to end.
#[derive(Debug, PartialEq, Eq)]
pub enum End<R> {
    /// Keep everything.
    Commit(R),
    /// Keep nothing: a handler failed, or somebody else was first.
    Rollback(R),
}

/// Work inside a transaction: takes it, gives it back with the wish how to end.
///
/// Boxed on both sides: an unboxed one compiles in the trait and then fails at `tokio::spawn` with a higher-ranked
/// lifetime error.
pub type Work<Tx, R> = Box<dyn FnOnce(Tx) -> BoxFuture<'static, (Tx, End<R>)> + Send>;

/// At which step a transaction failed.
#[derive(Clone, Debug)]
pub enum TransactError {
    /// It did not begin: the work did not run.
    Begin(Error),
    /// It ended before its commit, or the commit was refused: the work ran and nothing was kept.
    Commit(Error),
    /// The answer of the commit was lost: everything was kept, or nothing.
    Unknown(Error),
}

impl TransactError {
    /// Returns the cause.
    pub fn error(&self) -> &Error {
        match self {
            Self::Begin(error) | Self::Commit(error) | Self::Unknown(error) => error,
        }
    }
}

impl fmt::Display for TransactError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Begin(_) => "begin",
            Self::Commit(_) => "commit",
            Self::Unknown(_) => "commit with unknown outcome",
        })
    }
}

impl std::error::Error for TransactError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(self.error())
    }
}

pub(super) async fn transact<S: Store, R: Send + 'static>(
    store: &S,
    work: Work<S::Tx, R>,
) -> Result<R, TransactError> {
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
            // A failed rollback is the end of the connection, and the database rolls back what it held.
            if let Err(error) = store.rollback(tx).await {
                tracing::debug!(error = %crate::error::chain(&error), "rollback not confirmed");
            }
            Ok(result)
        }
    }
}
