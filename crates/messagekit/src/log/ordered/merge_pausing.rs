//! Which partitions a merge wants to have read, so that its buffer stays within its bounds.

use std::cmp::Reverse;

use super::merge::{MergeCore, is_due};
use super::merge_partition::Phase;

impl<R> MergeCore<R> {
    /// Returns how many records the buffer has room for. A full one has room for one more of the partition that holds the others back, unless
    /// there are records to [take](Self::take).
    pub fn room(&mut self) -> usize {
        let records = self.settings.max_records.saturating_sub(self.held);
        let bytes = self.settings.max_bytes.saturating_sub(self.held_bytes) / self.largest.max(1);
        records.min(bytes).max(usize::from(!self.has_due()))
    }

    /// Returns whether there are records to [take](Self::take).
    pub fn has_due(&mut self) -> bool {
        self.refresh();
        let lowest = self.open.first().copied();
        let first = self.heads.peek();
        first.is_some_and(|Reverse((time, index))| is_due((Some(*time), *index), lowest))
            || self.is_live && !self.arrived.is_empty()
    }

    /// Returns whether one of so many parts of the buffer is full, of records or of bytes. From a half on only the partition that holds the
    /// others back is read: the other half is for what that one brings.
    fn has_filled_one_of(&self, parts: usize) -> bool {
        self.held * parts >= self.settings.max_records || self.held_bytes * parts >= self.settings.max_bytes
    }

    /// Returns whether a partition that is read should not be read for now.
    pub fn wants_pause(&mut self, partition: usize) -> bool {
        self.refresh();
        let known = &self.partitions[partition];
        !known.is_paused
            && if self.is_live {
                self.has_filled_one_of(1)
            } else {
                known.phase == Phase::Ended || self.has_filled_one_of(2) && !self.is_lowest(partition)
            }
    }

    /// Returns whether a paused partition should be read again.
    pub fn wants_resume(&mut self, partition: usize) -> bool {
        self.refresh();
        let known = &self.partitions[partition];
        known.is_paused
            && if self.is_live {
                !self.has_filled_one_of(2)
            } else {
                known.phase != Phase::Ended && (self.is_lowest(partition) || !self.has_filled_one_of(4))
            }
    }

    /// Returns partitions with the offset of a record that they hold, among them the first one of each that holds any.
    pub(super) fn first_held(&self) -> impl Iterator<Item = (usize, i64)> {
        let waiting = self.partitions.iter().filter_map(|known| known.waiting.front());
        waiting.chain(&self.arrived).map(|record| (record.partition, record.offset))
    }

    fn is_lowest(&self, partition: usize) -> bool {
        // An idle partition holds nothing back, and is read so that it is seen when it goes on.
        self.open.first().is_none_or(|(_, lowest)| *lowest == partition)
            || self.partitions[partition].phase == Phase::Idle
    }

    /// Notes that a partition is paused, or that it is read again.
    pub fn set_paused(&mut self, partition: usize, is_paused: bool) {
        let known = &mut self.partitions[partition];
        if std::mem::replace(&mut known.is_paused, is_paused) != is_paused {
            let count = if is_paused { &mut self.counts.paused } else { &mut self.counts.resumed };
            *count += 1;
        }
    }
}
