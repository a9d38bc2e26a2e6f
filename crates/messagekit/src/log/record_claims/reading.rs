//! What a claim reads of the log: the keys that decide about it, and its records.

use super::claim::ClaimedRecord;
use super::claim_store::RecordClaims;
use super::key_order::KeyedClaim;
use super::steps::{ClaimOrder, Steps};
use super::window::{ClaimWindow, ClaimedRange, ClaimedRanges, NewClaim};
use crate::Error;
use crate::log::Bounds;

/// A call costs about as much as so many records.
const GAP: i64 = 8;

impl<S: RecordClaims> Steps<S> {
    /// Claims records of one window, in the order of the consumer.
    pub(super) async fn choose(
        &self,
        tx: &mut S::Tx,
        new: &NewClaim<'_>,
        bounds: &Bounds,
        window: &mut ClaimWindow,
    ) -> Result<ClaimedRanges, Error> {
        if self.order != ClaimOrder::Key {
            return Ok(window.claim(new, bounds.end));
        }
        let mut claim = KeyedClaim::new(window, new, bounds.end);
        loop {
            let unread = claim.unread();
            if unread.is_empty() {
                return Ok(claim.claim());
            }
            // In the transaction: it may have given records their offsets that no other connection sees yet.
            claim.look(self.store.record_keys(tx, &self.topic, bounds.partition, &unread).await?);
        }
    }

    /// Reads the records of ranges, which follow each other.
    pub(super) async fn read(
        &self,
        partition: i32,
        ranges: &[ClaimedRange],
    ) -> Result<Vec<ClaimedRecord>, Error> {
        let mut records = Vec::new();
        for near in calls(ranges) {
            let (Some(first), Some(last)) = (near.first(), near.last()) else { continue };
            let offsets = first.offsets.start..last.offsets.end;
            for record in self.store.read_claimed(&self.topic, partition, offsets).await? {
                let offset = record.position.offset;
                let range =
                    near.get(near.partition_point(|range| range.offsets.end <= offset)).unwrap_or(last);
                if range.offsets.start <= offset {
                    records.push(ClaimedRecord { record, attempt: range.attempt });
                }
            }
        }
        Ok(records)
    }
}

/// Returns what one call reads each: ranges with few records between them.
fn calls(ranges: &[ClaimedRange]) -> impl Iterator<Item = &[ClaimedRange]> {
    ranges.chunk_by(|earlier, later| later.offsets.start - earlier.offsets.end <= GAP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_with_few_records_between_them_are_one_call() {
        let ranges = [3..4, 4..6, 14..15, 24..30].map(|offsets| ClaimedRange { offsets, attempt: 1 });
        let sizes: Vec<usize> = calls(&ranges).map(<[_]>::len).collect();
        assert_eq!((sizes, calls(&[]).count()), (vec![3, 1], 0));
    }
}
