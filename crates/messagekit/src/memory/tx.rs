//! A transaction of a store in memory.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use super::failed_messages::{Resolving, StoredMessage};
use super::markers::Marker;
use super::offsets::OffsetKey;
use super::store::Database;
use crate::{Error, ErrorKind, Message, MessageId};

/// An open transaction of a [`MemoryStore`](super::MemoryStore). Dropping it rolls it back.
///
/// Its writes are seen by itself only, until the commit. After a statement has failed, every later one and the commit
/// answer [`ErrorKind::Aborted`].
pub struct MemoryTx {
    pub(super) database: Arc<Database>,
    pub(super) number: u64,
    pub(super) writes: Writes,
    /// The error of a statement that failed.
    pub(super) aborted: Option<Error>,
}

/// What a transaction will change.
#[derive(Default)]
pub(super) struct Writes {
    pub(super) markers: BTreeMap<(String, MessageId), Marker>,
    /// The markers that this transaction claimed as fresh or behind.
    pub(super) fresh: BTreeSet<(String, MessageId)>,
    pub(super) offsets: BTreeMap<OffsetKey, i64>,
    pub(super) failed_messages: BTreeMap<i64, StoredMessage>,
    pub(super) resolved: BTreeMap<i64, Resolving>,
    pub(super) absolved: BTreeSet<(String, MessageId)>,
    pub(super) failures: BTreeMap<(MessageId, String), String>,
    pub(super) numbers: BTreeMap<String, i64>,
    pub(super) texts: BTreeMap<String, String>,
    pub(super) outbox: Vec<Message>,
}

impl MemoryTx {
    /// Adds to a number of yours; it begins at 0. Concurrent transactions do not hinder each other.
    pub fn add(&mut self, key: impl Into<String>, number: i64) {
        *self.writes.numbers.entry(key.into()).or_default() += number;
    }

    /// Returns a number of yours as this transaction sees it.
    pub fn get(&self, key: &str) -> i64 {
        self.database.number(key) + self.writes.numbers.get(key).copied().unwrap_or_default()
    }

    /// Sets a text of yours; of concurrent transactions, the last to commit wins.
    pub fn insert(&mut self, key: impl Into<String>, text: impl Into<String>) {
        self.writes.texts.insert(key.into(), text.into());
    }

    /// Returns a text of yours as this transaction sees it.
    pub fn text(&self, key: &str) -> Option<String> {
        self.writes.texts.get(key).cloned().or_else(|| self.database.text(key))
    }

    /// Makes a statement fail whose error nobody looks at: the commit answers [`ErrorKind::Aborted`] and keeps nothing.
    pub fn poison(&mut self) {
        self.abort(Error::new(ErrorKind::Other, "a statement failed and nobody looked"));
    }

    /// Notes that a statement has failed, and gives its error back.
    pub(super) fn abort(&mut self, error: Error) -> Error {
        self.aborted.get_or_insert_with(|| error.clone());
        error
    }

    /// Refuses to go on after a statement has failed.
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
