//! What a bookkeeper has done.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one bookkeeper since it was built, for people and dashboards: a transaction that is repeated counts again. What
/// happened to a message is in the tables.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BookkeeperCounts {
    /// Messages that became failed messages.
    pub kept: u64,
    /// Failed messages of events that stand in the outbox of the same database; their failure is noted there too.
    pub ours: u64,
    /// Failed messages that went back and were confirmed by the broker.
    pub returned: u64,
    /// Failed messages that the broker did not take back; they are dead again.
    pub refused: u64,
}

/// A live view of a bookkeeper's counts; cloning is cheap.
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
    /// Returns the counts as they are now.
    pub fn read(&self) -> BookkeeperCounts {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        BookkeeperCounts {
            kept: get(&self.0.kept),
            ours: get(&self.0.ours),
            returned: get(&self.0.returned),
            refused: get(&self.0.refused),
        }
    }

    /// Counts one more.
    pub(super) fn count(&self, which: impl Fn(&Counters) -> &AtomicU64) {
        which(&self.0).fetch_add(1, Ordering::Relaxed);
    }
}
