//! Statistics of ordered readers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::merge::MergeCounts;

/// Counts of the readers of one builder, and the state of one that is open.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderedReaderStats {
    /// Records that were released.
    pub released: u64,
    /// Records whose own time lies before what their partition, or the reader behind an idle one, has shown already.
    pub late: u64,
    /// Records whose own time lies so far ahead of the clock that it was cut.
    pub ahead: u64,
    /// Offsets that were deleted before they were read.
    pub deleted: u64,
    /// What a reader holds; `None` before one is opened and after it was dropped.
    pub state: Option<OrderedReaderState>,
}

/// What an open reader holds, as of its last step.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OrderedReaderState {
    /// Records that were read and are not released.
    pub held: u64,
    /// Their bytes.
    pub held_bytes: u64,
    /// Partitions that are not read for now.
    pub paused_partitions: u64,
    /// For each topic, the offsets up to the end of its past that are not released.
    pub lag: BTreeMap<Arc<str>, u64>,
    /// All of the past is released.
    pub is_live: bool,
}

/// A live view of the statistics of a reader, for dashboards. Cloning is cheap.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use messagekit::Message;
/// use messagekit::adapter::Publisher;
/// use messagekit::log::{OrderedReader, Start};
/// use messagekit_memory::MemoryLog;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let log = Arc::new(MemoryLog::new(1));
/// log.publish(&[Message::new("orders", "1"), Message::new("orders", "2")]).await;
/// let builder = OrderedReader::builder().source(log, "orders", Start::Earliest);
/// let stats = builder.stats();
/// let mut reader = builder.open().await?;
/// assert_eq!(stats.read().state.map(|state| state.lag["orders"]), Some(2));
/// reader.poll(Duration::from_secs(1)).await?;
/// assert_eq!((stats.read().released, stats.read().state.map(|state| state.lag["orders"])), (2, Some(0)));
/// # Ok::<(), messagekit::Error>(())
/// # }).unwrap();
/// ```
#[derive(Clone, Debug, Default)]
pub struct OrderedStats(Arc<Mutex<OrderedReaderStats>>);

impl OrderedStats {
    /// Returns the current statistics.
    pub fn read(&self) -> OrderedReaderStats {
        self.known().clone()
    }

    fn known(&self) -> MutexGuard<'_, OrderedReaderStats> {
        // A panic cannot leave these values inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What one reader has reported of itself. Its state ends with it.
#[derive(Debug)]
pub(super) struct Reporter {
    stats: OrderedStats,
    counts: MergeCounts,
    deleted: u64,
}

impl Reporter {
    pub(super) fn to(stats: OrderedStats) -> Self {
        Self { stats, counts: MergeCounts::default(), deleted: 0 }
    }

    pub(super) fn stats(&self) -> OrderedStats {
        self.stats.clone()
    }

    /// Adds what was counted since the last report.
    pub(super) fn report(&mut self, counts: MergeCounts, deleted: u64, state: OrderedReaderState) {
        let mut known = self.stats.known();
        known.released += counts.released - self.counts.released;
        known.late += counts.late - self.counts.late;
        known.ahead += counts.ahead - self.counts.ahead;
        known.deleted += deleted - self.deleted;
        known.state = Some(state);
        drop(known);
        (self.counts, self.deleted) = (counts, deleted);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.stats.known().state = None;
    }
}
