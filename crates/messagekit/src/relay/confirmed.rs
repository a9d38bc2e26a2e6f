//! What the broker has confirmed and the outbox still holds. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Events that have left, until their rows are deleted: a read must leave them out.
#[derive(Default)]
pub(super) struct Confirmed {
    places: BTreeMap<u16, BTreeSet<i64>>,
    count: usize,
    /// Those that nobody is deleting yet.
    waiting: Vec<(u16, i64)>,
}

impl Confirmed {
    pub(super) fn add(&mut self, shard: u16, seq: i64) {
        if self.places.entry(shard).or_default().insert(seq) {
            self.count += 1;
            self.waiting.push((shard, seq));
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
    pub(super) fn take(&mut self) -> Vec<(u16, i64)> {
        std::mem::take(&mut self.waiting)
    }

    /// Notes that rows are gone.
    pub(super) fn deleted(&mut self, rows: &[(u16, i64)]) {
        for (shard, seq) in rows {
            if let Some(places) = self.places.get_mut(shard) {
                self.count -= usize::from(places.remove(seq));
                if places.is_empty() {
                    self.places.remove(shard);
                }
            }
        }
    }

    /// Takes back what could not be deleted.
    pub(super) fn put_back(&mut self, mut rows: Vec<(u16, i64)>) {
        rows.append(&mut self.waiting);
        self.waiting = rows;
    }
}
