//! Events that the broker has confirmed and the outbox still contains. Pure.

use std::collections::BTreeMap;

use super::PendingId;

/// Published events whose rows are not deleted yet: a read must leave them out.
#[derive(Default)]
pub(super) struct Confirmed {
    /// By shard and position.
    left_out: BTreeMap<(u16, i64), PendingId>,
    /// Events whose deletion has not started.
    waiting: Vec<PendingId>,
}

impl Confirmed {
    pub(super) fn add(&mut self, entry: PendingId) {
        if self.left_out.insert((entry.shard, entry.seq), entry.clone()).as_ref() != Some(&entry) {
            self.waiting.push(entry);
        }
    }

    /// Adds an event whose position comes from a former server. It is only deleted: reads may find another event at its
    /// position.
    pub(super) fn add_former(&mut self, entry: PendingId) {
        self.waiting.push(entry);
    }

    /// Clears the positions that reads leave out, because another server may have assigned them to other events. Waiting
    /// deletions remain, because an entry identifies its event.
    pub(super) fn forget_positions(&mut self) {
        self.left_out.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.left_out.len()
    }

    pub(super) fn has(&self, shard: u16) -> bool {
        self.above(shard, i64::MIN).next().is_some()
    }

    /// Returns the positions of a shard that a read behind `above` would find.
    pub(super) fn above(&self, shard: u16, above: i64) -> impl Iterator<Item = i64> {
        let positions = (shard, above.saturating_add(1))..=(shard, i64::MAX);
        self.left_out.range(positions).map(|((_, seq), _)| *seq)
    }

    /// Takes the events to delete.
    pub(super) fn take(&mut self) -> Vec<PendingId> {
        std::mem::take(&mut self.waiting)
    }

    /// Records that rows are deleted. An event found at such a position later is another event and may be read.
    pub(super) fn deleted(&mut self, rows: &[PendingId]) {
        for row in rows {
            let position = (row.shard, row.seq);
            if self.left_out.get(&position) == Some(row) {
                self.left_out.remove(&position);
            }
        }
    }

    /// Takes back the events that could not be deleted.
    pub(super) fn put_back(&mut self, mut rows: Vec<PendingId>) {
        rows.append(&mut self.waiting);
        self.waiting = rows;
    }
}
