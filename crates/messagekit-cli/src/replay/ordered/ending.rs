//! Where reading ends, in each partition.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::Position;
use messagekit::log::Record;

use super::until::Until;

/// Finds the end in what a reader returns.
///
/// The end is an offset of each partition, its bound, and is reached when the reader has passed all of them. That a poll brings nothing, or
/// that one partition has shown a later time, proves nothing of the others: they may be slow, idle, or behind a cutoff.
///
/// In front of a time means: of each partition the records before its first one of this time or later. That is where [`Start::At`] the same
/// time begins, so that one reads what the other leaves.
///
/// [`Start::At`]: messagekit::log::Start::At
#[derive(Debug)]
pub(super) struct Ending {
    until: Until,
    /// Of each partition the first offset that is left out.
    bounds: HashMap<Arc<str>, HashMap<i32, i64>>,
    /// All partitions have a bound. Before, only those that have shown a record of the time.
    is_bounded: bool,
}

impl Ending {
    /// `past` is where the past of each partition ends.
    pub(super) fn new(until: Until, past: impl IntoIterator<Item = Position>) -> Self {
        let mut this = Self { until, bounds: HashMap::new(), is_bounded: false };
        if until == Until::Live {
            this.bound(past);
        }
        this
    }

    /// Returns the time whose offsets are to be looked up. Before it has come, earlier records may still be stored.
    pub(super) fn wanted(&self, now: Timestamp) -> Option<Timestamp> {
        match self.until {
            Until::Time(time) if !self.is_bounded && now >= time => Some(time),
            _ => None,
        }
    }

    /// Takes the bounds of all partitions.
    pub(super) fn bound(&mut self, bounds: impl IntoIterator<Item = Position>) {
        bounds.into_iter().for_each(|position| self.lower(&position));
        self.is_bounded = true;
    }

    /// Removes the records that lie behind the end.
    pub(super) fn cut(&mut self, records: &mut Vec<Record>) {
        if let Until::Time(time) = self.until {
            let late = records.iter().filter(|record| record.stored_at() >= time);
            late.for_each(|record| self.lower(&record.position));
        }
        if self.until != Until::Never {
            records.retain(|record| self.is_in_front(&record.position));
        }
    }

    /// Returns whether nothing in front of the end is to come, from where the reader goes on in each partition, in their order.
    pub(super) fn is_reached(&self, next: &[Position]) -> bool {
        let is_passed = |topic: &Arc<str>, partition: i32, bound: i64| {
            let found = next.binary_search_by(|next| (&next.topic, next.partition).cmp(&(topic, partition)));
            // A partition that was added is read once the reader has found it.
            found.map_or(bound <= 0, |index| next[index].offset >= bound)
        };
        self.is_bounded
            && self.bounds.iter().all(|(topic, bounds)| {
                bounds.iter().all(|(partition, bound)| is_passed(topic, *partition, *bound))
            })
    }

    /// Returns whether it is known where all partitions end.
    pub(super) fn is_bounded(&self) -> bool {
        self.is_bounded
    }

    /// Returns the bound of a partition that has one.
    pub(super) fn bound_of(&self, topic: &str, partition: i32) -> Option<i64> {
        self.bounds.get(topic)?.get(&partition).copied()
    }

    /// Without a bound among those of all others it is a partition that was added behind the end.
    fn is_in_front(&self, position: &Position) -> bool {
        let bound = self.bound_of(&position.topic, position.partition);
        bound.map_or(!self.is_bounded, |bound| position.offset < bound)
    }

    fn lower(&mut self, Position { topic, partition, offset }: &Position) {
        let bounds = self.bounds.entry(topic.clone()).or_default();
        let bound = bounds.entry(*partition).or_insert(*offset);
        *bound = (*bound).min(*offset);
    }
}
