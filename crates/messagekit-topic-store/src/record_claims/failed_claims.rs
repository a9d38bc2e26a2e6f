//! Failed messages of a consumer that its workers claim when they are due, one at a time.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::{Failure, FailureKind, Next};

use super::claim::{RecordClaim, Selection};
use super::claim_id::RecordClaimId;
use super::claim_store::RecordClaims;
use super::leased_message::{LeaseOf, LeasedMessage};
use super::steps::{Own, Steps};
use super::window::claim_lost;

/// The error of a record that was lost with its worker again and again.
pub(super) const LOST: &str = "its worker ended, or held it for longer than the lease, in every attempt";

impl<S: RecordClaims> Steps<S> {
    /// Leases the failed message that is due longest. Failed messages whose attempts were all lost are dead.
    pub(super) async fn claim_failed(&self) -> Result<Option<RecordClaim>, Error> {
        loop {
            let leased =
                self.store.lease_failed(&self.consumer, &self.topic, self.partition, self.lease).await?;
            let Some(leased) = leased else { return Ok(None) };
            if leased.lease.attempt <= self.max_attempts || leased.lease.crash_count == 0 {
                return self.with_time(leased.claim()).await;
            }
            let lost = Failure::permanent(FailureKind::PoisonMessage, LOST);
            self.store.fail(&self.consumer, &leased.lease, &lost).await?;
        }
    }

    /// Returns the claim on a failed message.
    pub(super) async fn find_failed(&self, id: &RecordClaimId, of: LeaseOf) -> Result<RecordClaim, Error> {
        let lost = || claim_lost(id);
        let found = self.leased(&of).await?.and_then(LeasedMessage::claim);
        self.with_time(found).await?.ok_or_else(lost)
    }

    async fn leased(&self, of: &LeaseOf) -> Result<Option<LeasedMessage>, Error> {
        let (this, of) = (self.clone(), of.clone());
        self.transact_if(move |tx| Box::pin(async move { Ok((this.leased_in(tx, &of).await?, false)) })).await
    }

    /// Returns the leased failed message, if its record is in this topic.
    async fn leased_in(&self, tx: &mut S::Tx, of: &LeaseOf) -> Result<Option<LeasedMessage>, Error> {
        let leased = self.store.leased_failed(tx, &self.consumer, of).await?;
        let is_own = |leased: &LeasedMessage| {
            leased.lease.received.position.as_ref().is_some_and(|position| position.topic == self.topic)
        };
        Ok(leased.filter(is_own))
    }

    /// Adds the time of the record, if the log still has it.
    async fn with_time(&self, claim: Option<RecordClaim>) -> Result<Option<RecordClaim>, Error> {
        let Some(mut claim) = claim else { return Ok(None) };
        for claimed in &mut claim.records {
            let offset = claimed.record.position.offset;
            let found = self.store.read_claimed(&self.topic, claim.partition, offset..offset + 1, 1).await?;
            claimed.record.timestamp = found.first().and_then(|record| record.timestamp);
        }
        Ok(Some(claim))
    }

    /// Finishes the failed message of a claim, if it is among `which`, and returns the end of the settled prefix of its partition.
    pub(super) async fn acknowledge_failed(
        &self,
        tx: &mut S::Tx,
        id: &RecordClaimId,
        of: LeaseOf,
        partition: i32,
        which: &Selection,
    ) -> Result<i64, Error> {
        // The window first, as when a record is set aside.
        let Own { bounds, window, is_new, .. } = self.own(tx, partition).await?;
        let leased = self.leased_in(tx, &of).await?.filter(|leased| !is_new && leased.is_of(partition));
        let leased = leased.ok_or_else(|| claim_lost(id))?;
        which.check(&bounds)?;
        if which.has(leased.offset(), id)?
            && !self.store.resolve(tx, &self.consumer, &leased.lease, &[]).await?
        {
            return Err(claim_lost(id));
        }
        Ok(window.next())
    }

    /// Finishes the failed message whose record is at an offset, and returns whether a worker has it.
    pub(super) async fn acknowledge_failed_at(&self, partition: i32, offset: i64) -> Result<bool, Error> {
        let this = self.clone();
        self.transact_if(move |tx| {
            Box::pin(async move {
                let of = LeaseOf::Position { topic: this.topic.clone(), partition, offset };
                let Some(leased) = this.store.leased_failed(tx, &this.consumer, &of).await? else {
                    return Ok((false, false));
                };
                let is_resolved = this.store.resolve(tx, &this.consumer, &leased.lease, &[]).await?;
                Ok((is_resolved, is_resolved))
            })
        })
        .await
    }

    /// Gives the failed message of a claim back: with the failure of this attempt, or unhandled. A retry without attempts left is dead.
    pub(super) async fn give_failed_back(
        &self,
        id: &RecordClaimId,
        of: LeaseOf,
        which: &Selection,
        failure: Option<Failure>,
    ) -> Result<(), Error> {
        let leased = self.leased(&of).await?.ok_or_else(|| claim_lost(id))?;
        if !which.has(leased.offset(), id)? {
            return Ok(());
        }
        let LeasedMessage { lease, .. } = &leased;
        let is_ours = match failure {
            None => self.store.hand_back(&self.consumer, lease, Duration::ZERO).await?,
            Some(failure) if lease.attempt >= self.max_attempts => {
                self.store.fail(&self.consumer, lease, &Failure { next: Next::Dead, ..failure }).await?
            }
            Some(failure) => self.store.fail(&self.consumer, lease, &failure).await?,
        };
        if is_ours { Ok(()) } else { Err(claim_lost(id)) }
    }

    /// Extends the lease of a failed message by one lease from now.
    pub(super) async fn extend_failed(&self, id: &RecordClaimId, of: LeaseOf) -> Result<Timestamp, Error> {
        let lost = || claim_lost(id);
        let leased = self.leased(&of).await?.ok_or_else(lost)?;
        self.store.begin_run(&self.consumer, &leased.lease, 1, self.lease).await?.ok_or_else(lost)?;
        Ok(self.leased(&of).await?.ok_or_else(lost)?.until)
    }
}
