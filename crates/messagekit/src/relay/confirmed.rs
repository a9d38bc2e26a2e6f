//! What the broker has confirmed and the outbox still holds. Pure.

use std::collections::BTreeMap;

use super::PendingId;

/// Events that have left, until their rows are deleted: a read must leave them out.
#[derive(Default)]
pub(super) struct Confirmed {
    /// By shard and place.
    left_out: BTreeMap<(u16, i64), PendingId>,
    /// Those that nobody is deleting yet.
    waiting: Vec<PendingId>,
}

impl Confirmed {
    pub(super) fn add(&mut self, entry: PendingId) {
        if self.left_out.insert((entry.shard, entry.seq), entry.clone()).as_ref() != Some(&entry) {
            self.waiting.push(entry);
        }
    }

    /// Takes note of an event whose place is a former server's: it is only deleted, because reads may find another at its place.
    pub(super) fn add_former(&mut self, entry: PendingId) {
        self.waiting.push(entry);
    }

    /// Leaves nothing out of reads any more: another server may have given the places to other events. What waits is deleted all
    /// the same, because an entry names its event.
    pub(super) fn forget_places(&mut self) {
        self.left_out.clear();
    }

    pub(super) fn len(&self) -> usize {
        self.left_out.len()
    }

    pub(super) fn has(&self, shard: u16) -> bool {
        self.above(shard, i64::MIN).next().is_some()
    }

    /// Returns the places of a shard that a read behind `above` would meet.
    pub(super) fn above(&self, shard: u16, above: i64) -> impl Iterator<Item = i64> {
        let places = (shard, above.saturating_add(1))..=(shard, i64::MAX);
        self.left_out.range(places).map(|((_, seq), _)| *seq)
    }

    /// Takes what is to be deleted.
    pub(super) fn take(&mut self) -> Vec<PendingId> {
        std::mem::take(&mut self.waiting)
    }

    /// Notes that rows are gone. What stands at such a place now is another event, and may be read.
    pub(super) fn deleted(&mut self, rows: &[PendingId]) {
        for row in rows {
            let place = (row.shard, row.seq);
            if self.left_out.get(&place) == Some(row) {
                self.left_out.remove(&place);
            }
        }
    }

    /// Takes back what could not be deleted.
    pub(super) fn put_back(&mut self, mut rows: Vec<PendingId>) {
        rows.append(&mut self.waiting);
        self.waiting = rows;
    }
}
