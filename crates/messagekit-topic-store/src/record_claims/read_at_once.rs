//! One read for the claims that share a transaction.

use std::ops::Range;

use messagekit::log::Record;

use super::call::Call;
use super::claim::ClaimedRecord;
use super::claim_grant::{ClaimGrant, Read};
use super::claim_store::RecordClaims;
use super::reading::reads;
use super::steps::Steps;
use super::window::ClaimedRange;

/// What claims of a partition read together.
#[derive(Debug)]
struct ReadAtOnce {
    partition: i32,
    /// Empty when nothing is to be read, or too much lies between their records.
    offsets: Range<i64>,
    /// The fewest bytes that one of them asks for.
    max_bytes: usize,
    claims: usize,
}

impl ReadAtOnce {
    fn of(partition: i32, calls: &mut [Box<dyn Call>]) -> Self {
        let (mut ranges, mut max_bytes, mut claims) = (Vec::new(), usize::MAX, 0);
        for grant in unread(partition, calls) {
            ranges.extend_from_slice(&grant.claimed.ranges);
            max_bytes = max_bytes.min(grant.max_bytes);
            claims += 1;
        }
        ranges.sort_unstable_by_key(|range: &ClaimedRange| range.offsets.start);
        let near: Vec<&[ClaimedRange]> = reads(&ranges).collect();
        let offsets = match near[..] {
            [[first, .., last]] => first.offsets.start..last.offsets.end,
            [[only]] => only.offsets.clone(),
            _ => 0..0,
        };
        Self { partition, offsets, max_bytes, claims }
    }

    /// Gives each claim its records. One that was not read whole stays without them, and reads them itself.
    fn split(&self, records: Vec<Record>, calls: &mut [Box<dyn Call>]) {
        let bytes: usize = records.iter().map(|record| record.message.size()).sum();
        let is_cut = bytes >= self.max_bytes;
        let last = records.last().map(|record| record.position.offset + 1);
        let end = last.filter(|_| is_cut).unwrap_or(self.offsets.end);
        let mut records = records.into_iter().peekable();
        let mut claims: Vec<&mut ClaimGrant> = unread(self.partition, calls).collect();
        let mut owners: Vec<(ClaimedRange, usize)> = Vec::new();
        for (claim, grant) in claims.iter_mut().enumerate() {
            let is_whole = grant.claimed.ranges.last().is_none_or(|range| range.offsets.end <= end);
            if is_whole {
                grant.read = Some(Read { records: Vec::new(), is_cut: false });
            }
            owners.extend(grant.claimed.ranges.iter().map(|range| (range.clone(), claim)));
        }
        owners.sort_unstable_by_key(|(range, _)| range.offsets.start);
        for (ClaimedRange { offsets, attempt }, claim) in owners {
            while let Some(record) = records.next_if(|record| record.position.offset < offsets.end) {
                if let Some(read) = &mut claims[claim].read
                    && record.position.offset >= offsets.start
                {
                    read.records.push(ClaimedRecord { record, attempt });
                }
            }
        }
    }
}

/// Returns the claims of a partition whose records are not read.
fn unread(partition: i32, calls: &mut [Box<dyn Call>]) -> impl Iterator<Item = &mut ClaimGrant> {
    let grant = calls.iter_mut().filter_map(|call| call.grant());
    grant.filter(move |grant| {
        grant.partition == partition && grant.read.is_none() && !grant.claimed.ranges.is_empty()
    })
}

impl<S: RecordClaims> Steps<S> {
    /// Reads the records of claims that were made together. A read that fails leaves them to the callers.
    pub(super) async fn read_at_once(&self, calls: &mut [Box<dyn Call>]) {
        let mut partitions: Vec<i32> =
            calls.iter_mut().filter_map(|call| call.grant()).map(|grant| grant.partition).collect();
        partitions.sort_unstable();
        partitions.dedup();
        for partition in partitions {
            let together = ReadAtOnce::of(partition, calls);
            if together.claims < 2 || together.offsets.is_empty() {
                continue;
            }
            let (offsets, max_bytes) = (together.offsets.clone(), together.max_bytes);
            if let Ok(records) = self.store.read_claimed(&self.topic, partition, offsets, max_bytes).await {
                together.split(records, calls);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use jiff::Timestamp;

    use super::super::call::call;
    use super::super::claim_grant::NotGranted;
    use super::super::claim_id::{ClaimHolder, RecordClaimId};
    use super::super::claim_partition::ClaimPartitions;
    use super::super::window::ClaimedRanges;
    use super::super::windows::{Keys, Stop, Windows};
    use super::*;
    use messagekit::{Message, Position};

    /// A claim of ranges that has begun.
    fn grant(ranges: &[(i64, i64)]) -> Box<dyn Call> {
        let ranges = ranges.to_vec();
        let decide = move |_: &mut Windows, _: &[Keys]| {
            let own = ranges.iter().map(|(from, to)| ClaimedRange { offsets: *from..*to, attempt: 1 });
            let claimed = ClaimedRanges { ranges: own.collect(), exhausted: Vec::new() };
            let (id, until) = (RecordClaimId::new(), Timestamp::UNIX_EPOCH);
            let grant = ClaimGrant { id, partition: 0, until, claimed, max_bytes: 100, read: None };
            Ok::<Result<ClaimGrant, NotGranted>, Stop>(Ok(grant))
        };
        let (mut call, _) = call(Some(ClaimHolder::of_leases()), decide);
        let found = ClaimPartitions { now: Timestamp::UNIX_EPOCH, failed_due: None, partitions: Vec::new() };
        assert!(call.decide(&mut Windows::new(found, Vec::new()), &[]).is_none());
        call
    }

    fn records(offsets: impl IntoIterator<Item = i64>, size: usize) -> Vec<Record> {
        let topic: Arc<str> = "jobs".into();
        let record = |offset| Record {
            message: Message::new(topic.clone(), vec![0; size]),
            position: Position { topic: topic.clone(), partition: 0, offset },
            timestamp: None,
            is_tombstone: false,
        };
        offsets.into_iter().map(record).collect()
    }

    fn split(claims: &[&[(i64, i64)]], records: Vec<Record>) -> Vec<Option<Vec<i64>>> {
        let mut calls: Vec<Box<dyn Call>> = claims.iter().map(|ranges| grant(ranges)).collect();
        ReadAtOnce::of(0, &mut calls).split(records, &mut calls);
        let offsets = |read: &Read| read.records.iter().map(|own| own.record.position.offset).collect();
        calls.iter_mut().map(|call| call.grant().and_then(|grant| grant.read.as_ref()).map(offsets)).collect()
    }

    #[test]
    fn each_claim_gets_its_own_records() {
        let claims: [&[(i64, i64)]; 2] = [&[(0, 2), (5, 6)], &[(2, 4)]];
        // Another one has the fourth, and the sixth is gone from the log.
        assert_eq!(split(&claims, records([0, 1, 2, 3, 4], 1)), [Some(vec![0, 1]), Some(vec![2, 3])]);
    }

    #[test]
    fn a_claim_that_was_not_read_whole_reads_by_itself() {
        assert_eq!(split(&[&[(0, 2)], &[(2, 5)]], records(0..3, 40)), [Some(vec![0, 1]), None]);
    }

    #[test]
    fn claims_that_lie_far_apart_are_not_read_at_once() {
        let mut calls = [grant(&[(0, 2)]), grant(&[(500, 502)])];
        assert!(ReadAtOnce::of(0, &mut calls).offsets.is_empty());
    }
}
