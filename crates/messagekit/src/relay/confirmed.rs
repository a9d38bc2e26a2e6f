//! What the broker has confirmed and the outbox still holds. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::Entry;

/// Events that have left, until their rows are deleted: a read must leave them out.
#[derive(Default)]
pub(super) struct Confirmed {
    places: BTreeMap<u16, BTreeSet<i64>>,
    count: usize,
    /// Those that nobody is deleting yet.
    waiting: Vec<Entry>,
}

impl Confirmed {
    pub(super) fn add(&mut self, entry: Entry) {
        if self.places.entry(entry.shard).or_default().insert(entry.seq) {
            self.count += 1;
            self.waiting.push(entry);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    pub(super) fn has(&self, shard: u16) -> bool {
        self.places.contains_key(&shard)
    }

    /// Returns the places of a slice that a read behind `above` would meet.
    pub(super) fn above(&self, shard: u16, above: i64) -> impl Iterator<Item = i64> {
        let from = above.saturating_add(1);
        self.places.get(&shard).into_iter().flat_map(move |places| places.range(from..).copied())
    }

    /// Takes what is to be deleted.
    pub(super) fn take(&mut self) -> Vec<Entry> {
        std::mem::take(&mut self.waiting)
    }

    /// Notes that rows are gone. What stands at such a place now is another event, and may be read.
    pub(super) fn deleted(&mut self, rows: &[Entry]) {
        for Entry { shard, seq, .. } in rows {
            if let Some(places) = self.places.get_mut(shard) {
                self.count -= usize::from(places.remove(seq));
                if places.is_empty() {
                    self.places.remove(shard);
                }
            }
        }
    }

    /// Takes back what could not be deleted.
    pub(super) fn put_back(&mut self, mut rows: Vec<Entry>) {
        rows.append(&mut self.waiting);
        self.waiting = rows;
    }
}
