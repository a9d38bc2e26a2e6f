//! What a claim reads of the log: the keys that decide about it, and its records.

use std::ops::Range;

use messagekit::Error;
use messagekit::log::Bounds;

use super::claim::ClaimedRecord;
use super::claim_grant::Read;
use super::claim_id::RecordClaimId;
use super::claim_partition::ClaimPartition;
use super::claim_store::RecordClaims;
use super::key_order::KeyedClaim;
use super::steps::{ClaimOrder, Steps};
use super::window::{ClaimWindow, ClaimedRange, ClaimedRanges, NewClaim, Settlement};
use super::windows::{Keys, Stop};

/// A call costs about as much as so many records.
const GAP: i64 = 8;

impl<S: RecordClaims> Steps<S> {
    /// Claims records of one window, in the order of the consumer. Takes the keys of one look at a time.
    pub(super) fn choose<'k>(
        &self,
        new: &NewClaim<'_>,
        bounds: &Bounds,
        window: &mut ClaimWindow,
        keys: &mut impl Iterator<Item = &'k Keys>,
    ) -> Result<ClaimedRanges, Stop> {
        if self.order != ClaimOrder::Key {
            return Ok(window.claim(new, bounds.end));
        }
        let mut claim = KeyedClaim::new(window, new, bounds.end);
        loop {
            let offsets = claim.unread();
            if offsets.is_empty() {
                return Ok(claim.claim());
            }
            let known = keys.next().ok_or(Stop::Keys { partition: bounds.partition, offsets })?;
            claim.look(known.iter().cloned());
        }
    }

    /// Reads the records of ranges, which follow each other, until they have `max_bytes`.
    pub(super) async fn read(
        &self,
        partition: i32,
        ranges: &[ClaimedRange],
        max_bytes: usize,
    ) -> Result<Read, Error> {
        let mut records = Vec::new();
        let mut left = max_bytes;
        for near in reads(ranges) {
            let (Some(first), Some(last)) = (near.first(), near.last()) else { continue };
            let offsets = first.offsets.start..last.offsets.end;
            for record in self.store.read_claimed(&self.topic, partition, offsets, left).await? {
                left = left.saturating_sub(record.message.size());
                let offset = record.position.offset;
                let range =
                    near.get(near.partition_point(|range| range.offsets.end <= offset)).unwrap_or(last);
                if range.offsets.start <= offset {
                    records.push(ClaimedRecord { record, attempt: range.attempt });
                }
            }
            if left == 0 {
                return Ok(Read { records, is_cut: true });
            }
        }
        Ok(Read { records, is_cut: false })
    }

    /// Gives the records of a new claim back that stand behind an offset.
    pub(super) async fn release_behind(
        &self,
        id: &RecordClaimId,
        partition: i32,
        ranges: &[ClaimedRange],
        last: i64,
    ) -> Result<(), Error> {
        let behind = ranges.iter().map(|range| range.offsets.start.max(last + 1)..range.offsets.end);
        let behind: Vec<Range<i64>> = behind.filter(|offsets| !offsets.is_empty()).collect();
        if behind.is_empty() {
            return Ok(());
        }
        let id = id.clone();
        self.change(partition, move |now, ClaimPartition { window, .. }| {
            window.settle(&id, &behind, Settlement::Release, now)
        })
        .await
    }
}

/// Returns what is read at once each: ranges with few records between them.
pub(super) fn reads(ranges: &[ClaimedRange]) -> impl Iterator<Item = &[ClaimedRange]> {
    ranges.chunk_by(|earlier, later| later.offsets.start - earlier.offsets.end <= GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_with_few_records_between_them_are_one_call() {
        let ranges = [3..4, 4..6, 14..15, 24..30].map(|offsets| ClaimedRange { offsets, attempt: 1 });
        let sizes: Vec<usize> = reads(&ranges).map(<[_]>::len).collect();
        assert_eq!((sizes, reads(&[]).count()), (vec![3, 1], 0));
    }
}
