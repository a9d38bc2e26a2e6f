//! What an ordered reader reports of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reader::OrderedReader;
use super::stats::{OrderedReaderState, OrderedStats};

impl OrderedReader {
    /// Returns a live view of its statistics: that of its [builder](super::OrderedReaderBuilder::stats).
    pub fn stats(&mut self) -> OrderedStats {
        let stats = self.reporter.stats();
        self.report();
        stats
    }

    /// Brings the statistics up to date, if there is a view of them: it goes through all partitions.
    pub(super) fn report(&mut self) {
        if !self.reporter.is_viewed() {
            return;
        }
        let of_pages = self.pages.iter().flat_map(|(_, page)| page).map(|record| record.message.size());
        let state = OrderedReaderState {
            held: self.held_message_count() as u64,
            held_bytes: (self.core.held_bytes() + of_pages.sum::<usize>()) as u64,
            paused_partitions: self.paused_partition_count() as u64,
            lag: self.lag(),
            is_live: self.core.is_live(),
        };
        self.reporter.report(self.core.counts(), self.deleted, state);
    }

    /// Returns the offsets of the past that are not released. The last ones of a partition may have no record.
    fn lag(&self) -> BTreeMap<Arc<str>, u64> {
        let mut lag = BTreeMap::new();
        for (followed, known) in self.followed.iter().zip(self.core.partitions()) {
            let next = known.released().map_or(followed.start, |released| released + 1);
            let left = if known.is_live() { 0 } else { followed.end.saturating_sub(next).max(0) };
            *lag.entry(followed.topic.clone()).or_insert(0) += left.unsigned_abs();
        }
        lag
    }
}
