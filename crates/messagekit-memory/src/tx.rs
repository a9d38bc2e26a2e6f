//! Transaction of an in-memory store.

use std::fmt;
use std::sync::Arc;

use messagekit::{Error, ErrorKind};

use super::database::Database;
use super::writes::Writes;

/// Represents an open transaction of a [`MemoryStore`](super::MemoryStore). Dropping it rolls it back.
///
/// Its writes are visible only to itself until the commit. After a failed statement, every later statement and the
/// commit return [`ErrorKind::Aborted`].
pub struct MemoryTx {
    pub(super) database: Arc<Database>,
    pub(super) number: u64,
    pub(super) writes: Writes,
    /// The error of the failed statement.
    pub(super) aborted: Option<Error>,
}

impl MemoryTx {
    /// Adds to a user-defined number, initially 0. Concurrent transactions do not conflict.
    pub fn add(&mut self, key: impl Into<String>, number: i64) {
        *self.writes.numbers.entry(key.into()).or_default() += number;
    }

    /// Returns a user-defined number as seen by this transaction.
    pub fn get(&self, key: &str) -> i64 {
        self.database.number(key) + self.writes.numbers.get(key).copied().unwrap_or_default()
    }

    /// Sets a user-defined text; of concurrent transactions, the last to commit wins.
    pub fn insert(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.writes.texts.insert(key.into(), text.into());
    }

    /// Returns a user-defined text as seen by this transaction.
    pub fn text(&self, key: &str) -> Option<String> {
        self.writes.texts.get(key).cloned().or_else(|| self.database.text(key))
    }

    /// Simulates a failed statement with an ignored error: the commit returns [`ErrorKind::Aborted`] and commits
    /// nothing.
    pub fn poison(&mut self) {
        self.abort(Error::new(ErrorKind::Other, "a statement failed and its error was ignored"));
    }

    /// Marks the transaction as aborted and returns the error.
    pub(super) fn abort(&mut self, error: Error) -> Error {
        self.aborted.get_or_insert_with(|| error.clone());
        error
    }

    /// Fails if a statement of the transaction failed before.
    pub(super) fn usable(&self) -> Result<(), Error> {
        match &self.aborted {
            None => Ok(()),
            Some(cause) => {
                Err(Error::new(ErrorKind::Aborted, "transaction has ended").caused_by(cause.clone()))
            }
        }
    }
}

impl Drop for MemoryTx {
    fn drop(&mut self) {
        self.database.end(self.number);
    }
}

impl fmt::Debug for MemoryTx {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryTx")
            .field("number", &self.number)
            .field("aborted", &self.aborted)
            .finish_non_exhaustive()
    }
}
