//! Claims of workers elsewhere, of which a server knows no more than what they send.

use messagekit::{Error, ErrorKind};

use super::call::Decided;
use super::claim::{ClaimedRecord, RecordClaim, Selection};
use super::claim_id::RecordClaimId;
use super::claim_partition::ClaimPartition;
use super::claim_store::RecordClaims;
use super::claimer::RecordClaimer;
use super::window::{Settlement, claim_lost};

/// Whether a claim held a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RecordHolder {
    Here,
    Settled,
    Not,
}

impl Decided for (i64, RecordHolder) {}

impl<S: RecordClaims> RecordClaimer<S> {
    /// Returns what a claim still holds, with its records: as when it was made, without those that were settled since.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`] if it holds nothing. [`ErrorKind::NotFound`] for a partition that the topic does not have. A transient error
    /// if the database does not answer: retry.
    pub async fn find(&self, id: &RecordClaimId, partition: i32) -> Result<RecordClaim, Error> {
        if let Some(of) = id.lease() {
            return self.0.find_failed(id, of).await;
        }
        let of = id.clone();
        let found = self.0.change(partition, move |_, ClaimPartition { window, .. }| {
            let until = window.lease_of(&of).ok_or_else(|| claim_lost(&of))?;
            Ok((window.held_by(&of), until))
        });
        let (held, until) = found.await?;
        let records: Vec<ClaimedRecord> = self.0.read(partition, &held, usize::MAX).await?.records;
        Ok(RecordClaim { id: id.clone(), partition, until, records })
    }

    /// Finishes the records of one claim up to an offset and with it, for a worker that does not say which claim it has: the one that holds
    /// the record at this offset. Returns the end of the settled prefix of the partition. An offset that is settled already changes
    /// nothing, unless a worker has its failed message, which is then finished. Records in front of it that other claims hold stay theirs.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`] if no claim holds the record: it was not claimed, or its claim was lost. [`ErrorKind::OutOfRange`], with the
    /// values `earliest` and `end`, for an offset that the partition does not have yet. [`ErrorKind::NotFound`] for a partition that
    /// the topic does not have. A transient error if the database does not answer: retry.
    pub async fn acknowledge_up_to(&self, partition: i32, offset: i64) -> Result<i64, Error> {
        let acknowledge = move |now, known: &mut ClaimPartition| {
            let ClaimPartition { bounds, window, .. } = known;
            let selection = Selection::UpTo(offset);
            selection.check(bounds)?;
            if window.is_settled(offset) {
                return Ok((window.next(), RecordHolder::Settled));
            }
            let Some(id) = window.holder_of(offset).cloned() else {
                return Ok((window.next(), RecordHolder::Not));
            };
            let up_to = selection.ranges(bounds, window, &id)?;
            window.settle(&id, &up_to, Settlement::Acknowledge, now)?;
            Ok((window.next(), RecordHolder::Here))
        };
        let (next, held) = self.0.change(partition, acknowledge).await?;
        if held != RecordHolder::Here
            && !self.0.acknowledge_failed_at(partition, offset).await?
            && held == RecordHolder::Not
        {
            let text = "no claim holds the record at this offset: consume it again";
            return Err(Error::new(ErrorKind::ClaimLost, text).with("offset", offset));
        }
        Ok(next)
    }
}
