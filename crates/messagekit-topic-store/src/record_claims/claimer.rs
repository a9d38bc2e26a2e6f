//! Claims records for a consumer: each operation is one transaction around the [window](super::ClaimWindow).

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::Error;
#[cfg(doc)]
use messagekit::ErrorKind;
use messagekit::adapter::{Failure, FailureKind, Next};
use messagekit::log::PartitionStart;

use super::claim::{Claimed, OnDeleted, RecordClaim, Selection, Which};
use super::claim_grant::{ClaimGrant, FailedTurn, NotGranted, Read};
use super::claim_id::ClaimHolder;
use super::claim_partition::ClaimPartition;
use super::claim_store::RecordClaims;
use super::failed_claims::LOST;
use super::settled::neighbours;
use super::steps::{ClaimOrder, Steps, after};
use super::window::{Settlement, claim_lost};

/// Claims the records of a topic for a consumer.
///
/// Any number of processes may claim for one consumer; a record is in one claim at a time. A claim that is not settled before its
/// lease ends, or whose process ends, is lost: its records are claimed again.
///
/// ```
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// use messagekit::Message;
/// use messagekit::adapter::Publisher;
/// use messagekit_topic_store::{Claimed, RecordClaimer, Which};
/// use messagekit_memory::{MemoryLog, MemoryStore};
///
/// let log = MemoryLog::new(1);
/// log.publish(&[Message::new("orders.order", "{}"), Message::new("orders.order", "{}")]).await;
/// let worker = RecordClaimer::new(MemoryStore::with_log(&log), "billing", "orders.order");
/// let Claimed::Records(claim) = worker.claim(100).await? else { panic!("two records wait") };
/// assert_eq!(claim.records.len(), 2);
/// assert_eq!(worker.acknowledge(&claim, Which::All).await?, 2);
/// # Ok::<(), messagekit::Error>(()) }).unwrap();
/// ```
#[derive(Clone, Debug)]
pub struct RecordClaimer<S>(pub(super) Steps<S>);

impl<S: RecordClaims> RecordClaimer<S> {
    /// Creates a claimer with a lease of 60 s and 10 attempts. A new consumer begins at the earliest record.
    pub fn new(store: S, consumer: impl Into<Arc<str>>, topic: impl Into<Arc<str>>) -> Self {
        let (consumer, topic) = (consumer.into(), topic.into());
        Self(Steps {
            store,
            consumer,
            topic,
            lease: Duration::from_secs(60),
            max_attempts: 10,
            order: ClaimOrder::None,
            max_in_flight: None,
            start: PartitionStart::Earliest,
            partition: None,
            by_lease: false,
            max_bytes: usize::MAX,
            on_deleted: OnDeleted::default(),
        })
    }

    /// Hands out the records of each partition in their order: one claim at a time, and none while a record in front of it is claimed or
    /// waits for its next attempt. Records of one key share a partition, so each key keeps its order, too.
    ///
    /// A worker that gives a record back with [`retry`](Self::retry) must [release](Self::release) those behind it. Every worker of the
    /// consumer must claim in this way. By default workers share a partition.
    #[must_use]
    pub fn ordered(self) -> Self {
        Self(Steps { order: ClaimOrder::Partition, ..self.0 })
    }

    /// Keeps the order of each key while workers share a partition: a record is handed out when every record of its key in front of it
    /// in its partition is settled, or stands in front of it in the same claim. Records without a key have no order.
    ///
    /// A key waits while a record of it is claimed, waits for its next attempt, or was lost with its worker. Records of other keys go
    /// on. A record that is passed over counts no attempt. A record that becomes a failed message frees its key.
    ///
    /// A record that is given back takes the records of its key behind it out of the claim: [`retry`](Self::retry) and
    /// [`release`](Self::release) release them, without an attempt. The worker must not handle them any more: to name one of them is
    /// [`ErrorKind::ClaimLost`], and [`Which::All`] and [`Which::UpTo`] leave them out. Every worker of the consumer must claim in this
    /// way.
    ///
    /// # Costs
    /// A claim reads the keys of the unsettled records that it passes, without their payloads: of those that workers have, and of at most
    /// 1,024 others, or of four times `max` if that is more. When all of these wait, for example behind a failed record of a busy key,
    /// the records behind them are handed out when the front moves. The same holds when what was passed over makes 10,000 ranges of
    /// [`ClaimWindow`](super::ClaimWindow). While no key waits, a claim reads the keys of its own records and of those that workers have.
    /// Of the records that it passes over, it reads up to 8 between two of its own whole, to save a call.
    #[must_use]
    pub fn ordered_by_key(self) -> Self {
        Self(Steps { order: ClaimOrder::Key, ..self.0 })
    }

    /// Sets how many records of the consumer may be claimed at a time, by all workers together; without limit by default, and at least 1.
    #[must_use]
    pub fn max_in_flight(self, records: u64) -> Self {
        Self(Steps { max_in_flight: Some(records.max(1)), ..self.0 })
    }

    /// Sets how long a claim lasts; 60 s by default. A worker that needs longer [extends](Self::extend) it.
    #[must_use]
    pub fn lease(self, lease: Duration) -> Self {
        Self(Steps { lease, ..self.0 })
    }

    /// Sets after how many attempts a record is dead; 10 by default, and at least 1. It is then a failed message of the consumer.
    #[must_use]
    pub fn max_attempts(self, max_attempts: u32) -> Self {
        Self(Steps { max_attempts: max_attempts.max(1), ..self.0 })
    }

    /// Sets where the consumer begins in the partitions that it has not read yet, at the first claim that any of its workers makes; at the
    /// earliest record by default. An offset that a partition does not have fails that claim with [`ErrorKind::OutOfRange`].
    #[must_use]
    pub fn begin_at(self, start: PartitionStart) -> Self {
        Self(Steps { start, ..self.0 })
    }

    /// Claims records of this partition only; of all by default.
    #[must_use]
    pub fn of_partition(self, partition: i32) -> Self {
        Self(Steps { partition: Some(partition), ..self.0 })
    }

    /// Claims for workers elsewhere, as a server does for its clients: a claim is lost by the end of its lease only, and not when this
    /// process ends.
    #[must_use]
    pub fn for_others(self) -> Self {
        Self(Steps { by_lease: true, ..self.0 })
    }

    /// Sets how many bytes the records of a claim may have; without limit by default. A claim has at least one record. It is made of `max`
    /// records first, and gives those back that it does not read.
    #[must_use]
    pub fn max_bytes(self, bytes: usize) -> Self {
        Self(Steps { max_bytes: bytes, ..self.0 })
    }

    /// Sets where the consumer goes on when records were deleted before it settled them; at the earliest one by default.
    #[must_use]
    pub fn on_deleted(self, on_deleted: OnDeleted) -> Self {
        Self(Steps { on_deleted, ..self.0 })
    }

    /// Claims at most `max` records of one partition: first those that are due again, then new ones. Or a failed message that is due, alone;
    /// while there are both, each has its turn.
    ///
    /// A failed message is due when its delay is over, or an operator retries it. Its turn in an order has passed. It does not count for
    /// [`max_in_flight`](Self::max_in_flight), and its claim is lost by the end of its lease only.
    ///
    /// Records whose attempts are used up are set aside as failed messages on the way, and are finished for the consumer.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the database has no such topic or partition. [`ErrorKind::OutOfRange`] with the values `earliest` and `end`
    /// for [`begin_at`](Self::begin_at) an offset that a partition does not have, and under [`OnDeleted::Fail`] after a deletion. A
    /// transient error if the database does not answer, or another transaction was faster: retry.
    ///
    /// # Cancel safety
    /// A dropped call may leave records claimed. They are claimed again when the lease ends.
    pub async fn claim(&self, max: u32) -> Result<Claimed, Error> {
        let holder =
            if self.0.by_lease { ClaimHolder::of_leases() } else { self.0.store.claim_holder().await? };
        let mut failed = FailedTurn::any();
        loop {
            let grant = match self.0.begin(holder.clone(), max.max(1), failed).await? {
                Ok(grant) => grant,
                Err(NotGranted::Answer(answer)) => return Ok(answer),
                Err(NotGranted::FailedMessage) => {
                    failed = FailedTurn::Over;
                    match self.0.claim_failed().await? {
                        Some(claim) => return Ok(Claimed::Records(claim)),
                        None => continue,
                    }
                }
            };
            let ClaimGrant { id, partition, until, claimed, read, .. } = grant;
            if !claimed.exhausted.is_empty() {
                let exhausted = self.0.read(partition, &claimed.exhausted, usize::MAX).await?.records;
                let lost = Failure::permanent(FailureKind::PoisonMessage, LOST);
                self.0.set_aside(&id, partition, exhausted, lost).await?;
            }
            let Read { records, is_cut } = match read {
                Some(read) => read,
                None => self.0.read(partition, &claimed.ranges, self.0.max_bytes).await?,
            };
            if let (true, Some(last)) = (is_cut, records.last()) {
                self.0.release_behind(&id, partition, &claimed.ranges, last.record.position.offset).await?;
            }
            if !records.is_empty() {
                return Ok(Claimed::Records(RecordClaim { id, partition, until, records }));
            }
        }
    }

    /// Finishes records of a claim, and returns the end of the settled prefix of the partition.
    ///
    /// # Errors
    /// [`ErrorKind::ClaimLost`] if the claim does not hold them any more: undo what was done for them, because another worker has
    /// them. [`ErrorKind::OutOfRange`], with the values `earliest` and `end`, for an offset that the partition does not have yet. A transient error if the database does not answer: retry.
    ///
    /// # Cancel safety
    /// A dropped call has finished all of them or none.
    pub async fn acknowledge(&self, claim: &RecordClaim, which: Which<'_>) -> Result<i64, Error> {
        let Some(of) = claim.id.lease() else {
            return self.0.settle(claim, which, |_| Settlement::Acknowledge).await;
        };
        let (this, id, partition) = (self.0.clone(), claim.id.clone(), claim.partition);
        let which = Selection::from(which);
        self.0
            .transact(move |tx| {
                Box::pin(async move { this.acknowledge_failed(tx, &id, of, partition, &which).await })
            })
            .await
    }

    /// As [`acknowledge`](Self::acknowledge), in the caller's transaction: its effects and the acknowledgement commit together.
    ///
    /// # Errors
    /// As [`acknowledge`](Self::acknowledge): roll back.
    pub async fn acknowledge_in(
        &self,
        tx: &mut S::Tx,
        claim: &RecordClaim,
        which: Which<'_>,
    ) -> Result<i64, Error> {
        let which = Selection::from(which);
        if let Some(of) = claim.id.lease() {
            return self.0.acknowledge_failed(tx, &claim.id, of, claim.partition, &which).await;
        }
        self.0.settle_in(tx, &claim.id, claim.partition, &which, |_| Settlement::Acknowledge).await
    }

    /// Gives records back unhandled. They may be claimed at once, and their attempt does not count.
    ///
    /// With [`ordered_by_key`](Self::ordered_by_key), so are the records of their keys behind them in the claim.
    ///
    /// # Errors
    /// As [`acknowledge`](Self::acknowledge).
    pub async fn release(&self, claim: &RecordClaim, which: Which<'_>) -> Result<(), Error> {
        if let Some(of) = claim.id.lease() {
            return self.0.give_failed_back(&claim.id, of, &which.into(), None).await;
        }
        self.0.give_back(claim, which, |_| Settlement::Release, false).await.map(drop)
    }

    /// Gives records back that failed. They may be claimed again after `delay` of database time.
    ///
    /// Those whose attempts are used up become failed messages with this error instead. So do, with a retry after `delay`, records that
    /// would be one of more than 1,000 pieces of a partition, unless the claims are ordered.
    ///
    /// With [`ordered_by_key`](Self::ordered_by_key), the records of their keys behind them in the claim are [released](Self::release).
    ///
    /// # Errors
    /// As [`acknowledge`](Self::acknowledge).
    pub async fn retry(
        &self,
        claim: &RecordClaim,
        which: Which<'_>,
        delay: Duration,
        error: &str,
    ) -> Result<(), Error> {
        let later = Failure { next: Next::Retry(delay), ..Failure::retryable(FailureKind::Failed, error) };
        if let Some(of) = claim.id.lease() {
            return self.0.give_failed_back(&claim.id, of, &which.into(), Some(later)).await;
        }
        let is_in_claim =
            |offset: &i64| claim.records.iter().any(|record| record.record.position.offset == *offset);
        if let Which::Offsets(offsets) = which
            && !offsets.iter().all(is_in_claim)
        {
            return Err(claim_lost(&claim.id));
        }
        let failed = claim.records.iter().filter(|record| which.has(record.record.position.offset)).cloned();
        let (last, left): (Vec<_>, Vec<_>) = failed.partition(|record| record.attempt >= self.0.max_attempts);
        if !last.is_empty() {
            let dead = Failure::permanent(FailureKind::Failed, error);
            self.0.set_aside(&claim.id, claim.partition, last, dead).await?;
        }
        if left.is_empty() {
            return Ok(());
        }
        let offsets: Vec<i64> = left.iter().map(|record| record.record.position.offset).collect();
        let retry = move |now| Settlement::Retry(after(now, delay));
        // Neighbours are one piece of a window, however many they are.
        let pieces = neighbours(offsets.iter().copied()).len();
        let may_leave = self.0.order == ClaimOrder::None && offsets.len() < 8 * pieces;
        if self.0.give_back(claim, Which::Offsets(&offsets), retry, may_leave).await? {
            return Ok(());
        }
        self.0.set_aside(&claim.id, claim.partition, left, later).await
    }

    /// Gives up records that no attempt can handle: they become dead failed messages with this error, and are finished for the consumer.
    ///
    /// # Errors
    /// As [`acknowledge`](Self::acknowledge).
    pub async fn give_up(&self, claim: &RecordClaim, which: Which<'_>, error: &str) -> Result<(), Error> {
        let dead = Failure::permanent(FailureKind::Permanent, error);
        if let Some(of) = claim.id.lease() {
            return self.0.give_failed_back(&claim.id, of, &which.into(), Some(dead)).await;
        }
        let given = claim.records.iter().filter(|record| which.has(record.record.position.offset));
        self.0.set_aside(&claim.id, claim.partition, given.cloned().collect(), dead).await
    }

    /// Extends the lease of a claim: it ends after one lease from now.
    ///
    /// # Errors
    /// As [`acknowledge`](Self::acknowledge).
    pub async fn extend(&self, claim: &RecordClaim) -> Result<Timestamp, Error> {
        if let Some(of) = claim.id.lease() {
            return self.0.extend_failed(&claim.id, of).await;
        }
        let (id, lease) = (claim.id.clone(), self.0.lease);
        let extend = move |now, known: &mut ClaimPartition| {
            let until = after(now, lease);
            known.window.extend(&id, until)?;
            Ok(until)
        };
        self.0.change(claim.partition, extend).await
    }

    /// Moves the consumer in one partition, and ends all its claims there. Returns the offset from which it goes on.
    ///
    /// Markers of handled messages stay: a consumer that deduplicates passes over what it has applied.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`] for an offset that the partition does not have. [`ErrorKind::NotFound`] for a partition that the
    /// topic does not have. A transient error if the database does not answer: retry.
    pub async fn reset(&self, partition: i32, to: PartitionStart) -> Result<i64, Error> {
        let reset = move |_, known: &mut ClaimPartition| {
            let next = to.within(&known.bounds)?;
            known.window.reset(next);
            known.is_new = false;
            Ok(next)
        };
        self.0.change(partition, reset).await
    }
}
