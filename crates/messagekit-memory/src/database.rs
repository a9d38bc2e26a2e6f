//! An in-memory database.

use std::sync::Mutex;

use super::clock::Clock;
use super::tables::Tables;
use super::{MemoryLog, lock};

/// What all handles of a store share.
pub(super) struct Database {
    pub(super) tables: Mutex<Tables>,
    pub(super) clock: Clock,
    pub(super) log: Option<MemoryLog>,
}

impl Database {
    pub(super) fn number(&self, key: &str) -> i64 {
        lock(&self.tables).numbers.get(key).copied().unwrap_or_default()
    }

    pub(super) fn text(&self, key: &str) -> Option<String> {
        lock(&self.tables).texts.get(key).cloned()
    }

    /// Ends a transaction and releases its locks.
    pub(super) fn end(&self, number: u64) {
        let mut tables = lock(&self.tables);
        tables.open.remove(&number);
        tables.locks.release(number);
    }
}
