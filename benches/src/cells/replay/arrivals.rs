//! What a contender has read.

use std::time::Instant;

use super::fixture::{BYTES, PARTITIONS};
use crate::frame::Ledger;

/// Counts records, and compares each offset with the one before it in its partition.
pub(super) struct Arrivals {
    expected: usize,
    next: Vec<i64>,
    latest: Option<i64>,
    ledger: Ledger,
    count: usize,
    bytes: usize,
    began: Option<Instant>,
}

impl Arrivals {
    /// Counts from the first record.
    pub(super) fn expecting(expected: usize) -> Self {
        let next = vec![0; PARTITIONS as usize];
        Self { expected, next, latest: None, ledger: Ledger::default(), count: 0, bytes: 0, began: None }
    }

    /// Counts from now on, with what it takes to open a reader.
    pub(super) fn from_now(expected: usize) -> Self {
        Self { began: Some(Instant::now()), ..Self::expecting(expected) }
    }

    pub(super) fn see(&mut self, partition: i32, offset: i64, bytes: usize) {
        self.began.get_or_insert_with(Instant::now);
        let next = &mut self.next[partition as usize];
        match offset.cmp(next) {
            std::cmp::Ordering::Less => self.ledger.doubled += 1,
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.ledger.out_of_order += 1,
        }
        *next = offset + 1;
        self.count += 1;
        self.bytes += bytes;
    }

    /// Compares the time of a record with the latest before it.
    pub(super) fn see_time(&mut self, time: i64) {
        self.ledger.out_of_order += u64::from(self.latest > Some(time));
        self.latest = self.latest.max(Some(time));
    }

    pub(super) fn is_complete(&self) -> bool {
        self.count >= self.expected
    }

    /// Returns the faults, and the records per second.
    pub(super) fn verdict(mut self) -> (Ledger, f64) {
        let seconds = self.began.map_or(f64::NAN, |began| began.elapsed().as_secs_f64());
        self.ledger.lost += (self.expected * BYTES).saturating_sub(self.bytes).div_ceil(BYTES) as u64;
        (self.ledger, self.count as f64 / seconds)
    }
}
