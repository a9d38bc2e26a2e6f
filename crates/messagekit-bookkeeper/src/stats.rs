//! Statistics of a bookkeeper.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

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
pub struct BookkeeperStats(Arc<Counters>);

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) kept: AtomicU64,
    pub(super) ours: AtomicU64,
    pub(super) returned: AtomicU64,
    pub(super) refused: AtomicU64,
}

impl BookkeeperStats {
    /// Returns the current counts.
    pub fn read(&self) -> BookkeeperCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BookkeeperCounts {
            kept: get(&self.0.kept),
            ours: get(&self.0.ours),
            returned: get(&self.0.returned),
            refused: get(&self.0.refused),
        }
    }

    /// Increments one counter.
    pub(super) fn count(&self, which: impl Fn(&Counters) -> &AtomicU64) {
        which(&self.0).fetch_add(1, Ordering::Relaxed);
    }
}
