//! The next offsets of the partitions of a topic.

use std::collections::BTreeMap;

use messagekit_topic_store::partition_of;

use super::topics::Partition;

/// The next offsets of the partitions of a topic that is held.
#[derive(Debug)]
pub(crate) struct NextOffsets {
    partitions: Vec<Partition>,
    /// The partition of the messages of this batch that have no key: the one with the fewest records, so that batches take turns.
    keyless: usize,
    taken: BTreeMap<i32, u32>,
}

impl NextOffsets {
    pub(crate) fn new(partitions: Vec<Partition>) -> Self {
        let shortest = partitions.iter().enumerate().min_by_key(|(_, known)| known.next_offset);
        let keyless = shortest.map_or(0, |(index, _)| index);
        Self { partitions, keyless, taken: BTreeMap::new() }
    }

    /// Takes the next offset of the partition of a key: the partition's number in the database, and the offset.
    pub(crate) fn take(&mut self, key: Option<&[u8]>) -> (i32, i64) {
        let count = u32::try_from(self.partitions.len()).unwrap_or(u32::MAX);
        let index = key.map_or(self.keyless, |key| partition_of(key, count) as usize);
        let known = &mut self.partitions[index];
        let offset = known.next_offset;
        known.next_offset += 1;
        *self.taken.entry(known.tp).or_default() += 1;
        (known.tp, offset)
    }

    /// Returns the partitions of which offsets were taken, and how many.
    pub(crate) fn taken(&self) -> impl Iterator<Item = (i32, u32)> {
        self.taken.iter().map(|(tp, count)| (*tp, *count))
    }
}
