//! Statistics of ordered readers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::merge::MergeCounts;

/// Counts of the readers of one builder, and the state of those that are open.
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
    /// What the open readers hold together; `None` while there is none.
    pub state: Option<OrderedReaderState>,
}

/// What open readers hold, each as of its last step.
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
    /// All of the past is released, by each of them.
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
pub struct OrderedStats(Arc<Mutex<Known>>);

/// The counts, and the states of the open readers by their numbers.
#[derive(Debug, Default)]
struct Known {
    counted: OrderedReaderStats,
    states: BTreeMap<u64, OrderedReaderState>,
    opened: u64,
}

impl OrderedStats {
    /// Returns the current statistics.
    pub fn read(&self) -> OrderedReaderStats {
        let known = self.known();
        let state = known.states.values().cloned().reduce(OrderedReaderState::beside);
        OrderedReaderStats { state, ..known.counted.clone() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        // A panic cannot leave these values inconsistent.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OrderedReaderStats {
    /// Returns the statistics of these readers and of others together: they are live when all are.
    #[must_use]
    pub fn beside(self, other: Self) -> Self {
        let state = match (self.state, other.state) {
            (Some(state), Some(other)) => Some(state.beside(other)),
            (state, other) => state.or(other),
        };
        Self {
            released: self.released + other.released,
            late: self.late + other.late,
            ahead: self.ahead + other.ahead,
            deleted: self.deleted + other.deleted,
            state,
        }
    }
}

impl OrderedReaderState {
    fn beside(mut self, other: Self) -> Self {
        for (topic, lag) in other.lag {
            *self.lag.entry(topic).or_insert(0) += lag;
        }
        Self {
            held: self.held + other.held,
            held_bytes: self.held_bytes + other.held_bytes,
            paused_partitions: self.paused_partitions + other.paused_partitions,
            lag: self.lag,
            is_live: self.is_live && other.is_live,
        }
    }
}

/// What one reader has reported of itself. Its state ends with it.
#[derive(Debug)]
pub(super) struct Reporter {
    stats: OrderedStats,
    number: u64,
    counts: MergeCounts,
    deleted: u64,
}

impl Reporter {
    pub(super) fn to(stats: OrderedStats) -> Self {
        let number = {
            let mut known = stats.known();
            known.opened += 1;
            known.opened
        };
        Self { stats, number, counts: MergeCounts::default(), deleted: 0 }
    }

    pub(super) fn stats(&self) -> OrderedStats {
        self.stats.clone()
    }

    /// Returns whether there is a view, for which alone reports are made.
    pub(super) fn is_viewed(&self) -> bool {
        Arc::strong_count(&self.stats.0) > 1
    }

    /// Adds what was counted since the last report.
    pub(super) fn report(&mut self, counts: MergeCounts, deleted: u64, state: OrderedReaderState) {
        let mut known = self.stats.known();
        known.counted.released += counts.released - self.counts.released;
        known.counted.late += counts.late - self.counts.late;
        known.counted.ahead += counts.ahead - self.counts.ahead;
        known.counted.deleted += deleted - self.deleted;
        known.states.insert(self.number, state);
        drop(known);
        (self.counts, self.deleted) = (counts, deleted);
    }
}

impl Drop for Reporter {
    fn drop(&mut self) {
        self.stats.known().states.remove(&self.number);
    }
}
