//! What a consumer has settled of a partition: the only rule for claims, readers, counts and lags.

use std::ops::Range;

use super::window::{ClaimRange, ClaimWindow, RangeState};

impl ClaimWindow {
    /// Returns whether the record at an offset is settled.
    pub fn is_settled(&self, offset: i64) -> bool {
        let range = self.ranges.get(self.ranges.partition_point(|range| range.to <= offset));
        offset < self.next || range.is_some_and(|range| range.from <= offset && range.is_settled())
    }

    /// Returns the number of records before `end` that are not settled.
    pub fn unsettled(&self, end: i64) -> u64 {
        let settled: i64 = self.ranges.iter().filter(|range| range.is_settled()).map(ClaimRange::len).sum();
        u64::try_from(end - self.next - settled).unwrap_or(0)
    }

    /// Returns the records from the end of the settled prefix to `end`, as neighbours with whether they are settled.
    pub fn parts(&self, end: i64) -> Vec<(Range<i64>, bool)> {
        let mut parts: Vec<(Range<i64>, bool)> = Vec::new();
        let known = self.ranges.iter().map(|range| (range.from..range.to, range.is_settled()));
        for (offsets, is_settled) in known.chain([(self.unclaimed_from()..end, false)]) {
            match parts.last_mut() {
                Some((last, is_alike)) if *is_alike == is_settled => last.end = last.end.max(offsets.end),
                _ if offsets.is_empty() => {}
                _ => parts.push((offsets, is_settled)),
            }
        }
        parts
    }

    /// Settles records that the consumer has handled without a claim, also records that a claim holds. Offsets in ascending order are
    /// settled as ranges.
    pub fn finish(&mut self, handled: impl IntoIterator<Item = i64>) {
        for Range { start, end } in neighbours(handled) {
            let (from, behind) = (start.max(self.next), self.unclaimed_from());
            if end > behind {
                let state = RangeState::Waiting { due: 0, is_alone: false };
                self.ranges.push(ClaimRange { from: behind, to: end, attempts: 0, state });
            }
            self.cut(from);
            self.cut(end);
            let first = self.ranges.partition_point(|range| range.from < from);
            for range in self.ranges[first..].iter_mut().take_while(|range| range.from < end) {
                range.state = RangeState::Settled;
            }
        }
        self.collapse();
    }
}

/// Returns offsets in ascending order as ranges.
pub(super) fn neighbours(offsets: impl IntoIterator<Item = i64>) -> Vec<Range<i64>> {
    let mut ranges: Vec<Range<i64>> = Vec::new();
    for offset in offsets {
        match ranges.last_mut() {
            Some(last) if last.end == offset => last.end += 1,
            _ => ranges.push(offset..offset + 1),
        }
    }
    ranges
}
