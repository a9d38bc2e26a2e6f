//! Records that a worker gives back.

use std::collections::HashSet;
use std::ops::Range;

use bytes::Bytes;
use jiff::Timestamp;
use messagekit::Error;

use super::claim::{RecordClaim, Selection, Which};
use super::claim_partition::ClaimPartition;
use super::claim_store::RecordClaims;
use super::steps::{ClaimOrder, Steps};
use super::window::Settlement;

impl<S: RecordClaims> Steps<S> {
    /// Gives records of a claim back, with those that must not overtake them. Returns false, with nothing changed, if they `may_leave` a
    /// window that has many ranges.
    pub(super) async fn give_back(
        &self,
        claim: &RecordClaim,
        which: Which<'_>,
        how: impl Fn(Timestamp) -> Settlement + Send + 'static,
        may_leave: bool,
    ) -> Result<bool, Error> {
        let (id, which) = (claim.id.clone(), Selection::from(which));
        let keys = if self.order == ClaimOrder::Key { keys(claim) } else { Vec::new() };
        self.change(claim.partition, move |now, ClaimPartition { bounds, window, .. }| {
            if may_leave && window.is_fragmented() {
                return Ok(false);
            }
            let given = which.ranges(bounds, window, &id)?;
            window.settle(&id, &given, how(now), now)?;
            let mut behind = behind(&keys, &given);
            // The worker has settled some of them already.
            behind.retain(|offsets| window.is_held(&id, offsets));
            window.settle(&id, &behind, Settlement::Release, now)?;
            Ok(true)
        })
        .await
    }
}

/// Returns the offset and key of each record of a claim that has one, in their order.
fn keys(claim: &RecordClaim) -> Vec<(i64, Bytes)> {
    let key = |record: &messagekit::log::Record| Some((record.position.offset, record.message.key.clone()?));
    claim.records.iter().filter_map(|claimed| key(&claimed.record)).collect()
}

/// Returns the records that stand behind given ones of their key.
pub(super) fn behind(keys: &[(i64, Bytes)], given: &[Range<i64>]) -> Vec<Range<i64>> {
    let mut given = given.to_vec();
    given.sort_unstable_by_key(|offsets| offsets.start);
    let is_given = |offset: i64| {
        let index = given.partition_point(|offsets| offsets.end <= offset);
        given.get(index).is_some_and(|offsets| offsets.contains(&offset))
    };
    let mut blocked = HashSet::new();
    let mut behind = Vec::new();
    for (offset, key) in keys {
        if is_given(*offset) {
            blocked.insert(key);
        } else if blocked.contains(key) {
            behind.push(*offset..offset + 1);
        }
    }
    behind
}
