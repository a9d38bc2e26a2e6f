//! One transaction from begin to checked commit.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use crate::Error;

/// A boxed future that can be sent between threads.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// The end that a piece of work requests for its transaction.
#[derive(Debug, PartialEq, Eq)]
pub enum End<R> {
    /// Commit everything.
    Commit(R),
    /// Roll back everything: a handler failed, or another process was faster.
    Rollback(R),
}

/// Work inside a transaction. It takes the transaction and returns it with the requested end.
///
/// Both sides are boxed: an unboxed function compiles in the trait and then fails at `tokio::spawn` with a higher-ranked
/// lifetime error.
pub type Work<Tx, R> = Box<dyn FnOnce(Tx) -> BoxFuture<'static, (Tx, End<R>)> + Send>;

/// The step at which a transaction failed.
#[derive(Clone, Debug)]
pub enum TransactError {
    /// The transaction did not begin, and the work did not run.
    Begin(Error),
    /// The transaction ended before its commit, or the commit was refused. The work ran and nothing was kept.
    Commit(Error),
    /// The answer to the commit was lost. Everything was kept, or nothing.
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
