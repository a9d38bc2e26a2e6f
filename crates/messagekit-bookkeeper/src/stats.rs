//! Statistics of a bookkeeper.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Reports counts of one bookkeeper since it was built. A repeated transaction counts again; the tables hold the state
/// of each message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookkeeperCounts {
    /// Messages that became failed messages.
    pub kept: u64,
    /// Failed messages of events in the outbox of the same database; the event also records its failure.
    pub ours: u64,
    /// Failed messages whose redelivery the broker confirmed.
    pub returned: u64,
    /// Failed messages whose requested redelivery the broker rejected; they are dead.
    pub refused: u64,
}

/// Provides a live view of a bookkeeper's counts; cloning is cheap.
#[derive(Clone, Debug, Default)]
pub struct BookkeeperStats(Arc<Mutex<BookkeeperCounts>>);

impl BookkeeperStats {
    /// Returns the current counts.
    pub fn read(&self) -> BookkeeperCounts {
        *self.counts()
    }

    pub(super) fn counts(&self) -> MutexGuard<'_, BookkeeperCounts> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
