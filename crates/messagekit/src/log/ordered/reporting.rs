//! What an ordered reader reports of itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reader::OrderedReader;
use super::stats::{OrderedReaderState, OrderedStats};
use super::topic_reader::Followed;
use crate::Position;

impl OrderedReader {
    /// Returns a live view of its statistics: that of its [builder](super::OrderedReaderBuilder::stats).
    pub fn stats(&mut self) -> OrderedStats {
        let stats = self.reporter.stats();
        self.report();
        stats
    }

    /// Returns where it goes on in each partition, by topic and partition: in front of there all is released. Unlike the last offset that was
    /// released, this also moves past offsets that were deleted or have no record, as behind a transaction of Kafka.
    pub fn next_positions(&self) -> Vec<Position> {
        let mut next: Vec<i64> = self.followed.iter().map(|followed| followed.reached).collect();
        for (partition, offset) in self.core.first_held() {
            next[partition] = next[partition].min(offset);
        }
        let position = |(followed, offset): (&Followed, i64)| Position {
            topic: followed.topic.clone(),
            partition: followed.partition,
            offset,
        };
        let mut positions: Vec<_> = self.followed.iter().zip(next).map(position).collect();
        positions.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
        positions
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
