//! The transactions of a [`RecordClaimer`](super::RecordClaimer).

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{BoxFuture, End, Failure, Next, SetAsideOutcome};
use messagekit::log::{Bounds, PartitionStart};
use messagekit::{Error, ErrorKind};

use super::call::Decided;
use super::claim::{Claimed, ClaimedRecord, OnDeleted, RecordClaim, Selection, Which};
use super::claim_grant::{ClaimGrant, FailedTurn, NotGranted};
use super::claim_id::{ClaimHolder, RecordClaimId};
use super::claim_partition::{ClaimPartition, ClaimPartitions};
use super::claim_store::RecordClaims;
use super::window::{ClaimWindow, ClaimedRanges, NewClaim, Settlement};
use super::windows::{Keys, Stop, Windows};

/// Who claims what, and under which rules.
#[derive(Clone, Debug)]
pub(super) struct Steps<S> {
    pub(super) store: S,
    pub(super) consumer: Arc<str>,
    pub(super) topic: Arc<str>,
    pub(super) lease: Duration,
    pub(super) max_attempts: u32,
    pub(super) order: ClaimOrder,
    /// The most records of the consumer that are claimed at a time.
    pub(super) max_in_flight: Option<u64>,
    /// Where the consumer begins in a partition that it has not read.
    pub(super) start: PartitionStart,
    /// The only partition to claim from.
    pub(super) partition: Option<i32>,
    /// Claims end with their lease only.
    pub(super) by_lease: bool,
    /// The most bytes of a claim with more than one record.
    pub(super) max_bytes: usize,
    pub(super) on_deleted: OnDeleted,
}

/// Which records a claim may have beside those in front of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ClaimOrder {
    None,
    Partition,
    Key,
}

/// The window of one partition, in a transaction.
pub(super) struct Own {
    pub(super) now: Timestamp,
    pub(super) bounds: Bounds,
    /// The consumer had not begun to read it.
    pub(super) is_new: bool,
    pub(super) window: ClaimWindow,
}

/// Returns the time after a delay.
pub(super) fn after(now: Timestamp, delay: Duration) -> Timestamp {
    now.saturating_add(delay).unwrap_or(Timestamp::MAX)
}

/// Returns a generation that is greater than those of earlier times: the seconds since 2020.
fn later_generation(now: Timestamp) -> i32 {
    i32::try_from(now.as_second() - 1_577_836_800).unwrap_or(i32::MAX)
}

impl<S: RecordClaims> Steps<S> {
    /// Claims ranges of one partition, or returns why there are none.
    pub(super) async fn begin(
        &self,
        holder: ClaimHolder,
        max: u32,
        failed: FailedTurn,
    ) -> Result<Result<ClaimGrant, NotGranted>, Error> {
        let (this, id, own) = (self.clone(), RecordClaimId::new(), holder.clone());
        let decide = move |windows: &mut Windows, keys: &[Keys]| {
            windows.attempt(|windows| {
                this.begin_new(windows.all_mut())?;
                let is_due = windows.failed_due.is_some_and(|due| due <= windows.now);
                if is_due && failed == FailedTurn::First {
                    return Ok(Err(NotGranted::FailedMessage));
                }
                Ok(match this.decide((&id, &own, max), windows, keys)? {
                    Err(Claimed::Nothing { .. }) if is_due && failed == FailedTurn::Last => {
                        Err(NotGranted::FailedMessage)
                    }
                    begun => begun.map_err(NotGranted::Answer),
                })
            })
        };
        self.share(Some(holder), decide).await??
    }

    /// Claims records in the first partition that has some. Keys are those of each look at one, in their order.
    fn decide(
        &self,
        (id, holder, max): (&RecordClaimId, &ClaimHolder, u32),
        windows: &mut Windows,
        keys: &[Keys],
    ) -> Result<Result<ClaimGrant, Claimed>, Stop> {
        // A limit over all partitions is not kept by the replacement of one window.
        if self.max_in_flight.is_some() && !windows.are_locked && windows.all().len() > 1 {
            return Err(Stop::Lock);
        }
        let (now, ended) = (windows.now, windows.ended.clone());
        let in_flight = windows.all().iter().map(|known| known.window.in_flight(now, &ended)).sum();
        let room = self.max_in_flight.map_or(u64::MAX, |most| most.saturating_sub(in_flight));
        if room == 0 {
            let windows_due = windows.all().iter().filter_map(|known| known.window.due(now));
            let due = windows_due.chain(windows.failed_due.filter(|due| *due > now)).min();
            return Ok(Err(Claimed::Nothing { due }));
        }
        let new = NewClaim {
            id,
            holder,
            ended: &ended,
            now,
            until: after(now, self.lease),
            max: max.min(u32::try_from(room).unwrap_or(u32::MAX)),
            max_attempts: self.max_attempts,
            is_ordered: self.order == ClaimOrder::Partition,
        };
        let (mut due, mut keys) = (windows.failed_due.filter(|due| *due > now), keys.iter());
        self.check_partition(windows.all())?;
        for ClaimPartition { bounds, window: stored, .. } in windows.in_turn() {
            let partition = bounds.partition;
            if self.partition.is_some_and(|only| only != partition) {
                continue;
            }
            let mut window = stored.clone();
            if let Some(offsets) = self.pass_deleted(bounds, &mut window)? {
                *stored = window;
                return Ok(Err(Claimed::Deleted { partition, offsets }));
            }
            let claimed = self.choose(&new, bounds, &mut window, &mut keys)?;
            if claimed != ClaimedRanges::default() {
                *stored = window;
                let (id, until, max_bytes) = (id.clone(), new.until, self.max_bytes);
                return Ok(Ok(ClaimGrant { id, partition, until, claimed, max_bytes, read: None }));
            }
            due = due.into_iter().chain(window.due(now)).min();
        }
        Ok(Err(Claimed::Nothing { due }))
    }

    /// Returns the ended holders of other claims.
    pub(super) async fn ended(
        &self,
        own: &[ClaimHolder],
        partitions: &[ClaimPartition],
    ) -> Result<Vec<ClaimHolder>, Error> {
        let mut others: Vec<ClaimHolder> = Vec::new();
        for holder in partitions.iter().flat_map(|partition| partition.window.holders()) {
            if !own.contains(holder) && *holder != ClaimHolder::of_leases() && !others.contains(holder) {
                others.push(holder.clone());
            }
        }
        if others.is_empty() { Ok(others) } else { self.store.ended_holders(&others).await }
    }

    /// Stores records as failed messages and finishes them, in one transaction.
    pub(super) async fn set_aside(
        &self,
        id: &RecordClaimId,
        partition: i32,
        failed: Vec<ClaimedRecord>,
        failure: Failure,
    ) -> Result<(), Error> {
        let (this, id) = (self.clone(), id.clone());
        self.transact(move |tx| {
            Box::pin(async move {
                let Own { now, mut window, .. } = this.own(tx, partition).await?;
                for ClaimedRecord { record, attempt } in failed {
                    let offset = record.position.offset;
                    let received = record.received();
                    let failure = Failure { attempts: attempt, ..failure.clone() };
                    let outcome = this.store.set_aside(tx, &this.consumer, &received, &failure).await?;
                    let how = match failure.next {
                        _ if outcome == SetAsideOutcome::SetAside => Settlement::Acknowledge,
                        // Another record has its identity: it waits in the window.
                        Next::Retry(delay) => Settlement::Retry(after(now, delay)),
                        // A retry of it was applied before the consumer was reset to it.
                        Next::Dead => {
                            let failure = Failure { generation: later_generation(now), ..failure };
                            this.store.set_aside(tx, &this.consumer, &received, &failure).await?;
                            Settlement::Acknowledge
                        }
                    };
                    let own = [Range { start: offset, end: offset + 1 }];
                    window.settle(&id, &own, how, now)?;
                }
                this.write(tx, partition, &window).await
            })
        })
        .await
    }

    /// Settles records of a claim, and returns the end of the settled prefix.
    pub(super) async fn settle(
        &self,
        claim: &RecordClaim,
        which: Which<'_>,
        how: impl Fn(Timestamp) -> Settlement + Send + 'static,
    ) -> Result<i64, Error> {
        let (id, which) = (claim.id.clone(), Selection::from(which));
        self.change(claim.partition, move |now, ClaimPartition { bounds, window, .. }| {
            window.settle(&id, &which.ranges(bounds, window, &id)?, how(now), now)?;
            Ok(window.next())
        })
        .await
    }

    /// Changes the window of one partition, with what other calls change at the same time. A change that fails leaves it as it was.
    pub(super) async fn change<R: Decided>(
        &self,
        partition: i32,
        mut change: impl FnMut(Timestamp, &mut ClaimPartition) -> Result<R, Error> + Send + 'static,
    ) -> Result<R, Error> {
        let this = self.clone();
        let decide = move |windows: &mut Windows, _: &[Keys]| {
            let now = windows.now;
            let own = windows.own(partition).ok_or_else(|| this.no_partition(partition))?;
            Ok(change(now, own)?)
        };
        self.share(None, decide).await?.map_err(|error| self.lost_with_topic(error))?
    }

    /// As [`settle`](Self::settle), in a transaction that is open already.
    pub(super) async fn settle_in(
        &self,
        tx: &mut S::Tx,
        id: &RecordClaimId,
        partition: i32,
        which: &Selection,
        how: impl FnOnce(Timestamp) -> Settlement + Send,
    ) -> Result<i64, Error> {
        let Own { now, bounds, mut window, .. } = self.own(tx, partition).await?;
        window.settle(id, &which.ranges(&bounds, &window, id)?, how(now), now)?;
        self.write(tx, partition, &window).await?;
        Ok(window.next())
    }

    /// Returns the window of one partition.
    pub(super) async fn own(&self, tx: &mut S::Tx, partition: i32) -> Result<Own, Error> {
        let found = self.store.claim_partitions(tx, &self.consumer, &self.topic).await;
        let ClaimPartitions { now, partitions, .. } = found.map_err(|error| self.lost_with_topic(error))?;
        let own = partitions.into_iter().find(|known| known.bounds.partition == partition);
        let ClaimPartition { bounds, window, is_new } = own.ok_or_else(|| self.no_partition(partition))?;
        Ok(Own { now, bounds, is_new, window })
    }

    /// The claims of a topic that was dropped are lost.
    fn lost_with_topic(&self, error: Error) -> Error {
        if error.kind() != ErrorKind::NotFound {
            return error;
        }
        let text = "claim was lost: its topic was dropped";
        Error::new(ErrorKind::ClaimLost, text).with("topic", &self.topic).caused_by(error)
    }

    pub(super) async fn write(
        &self,
        tx: &mut S::Tx,
        partition: i32,
        window: &ClaimWindow,
    ) -> Result<(), Error> {
        self.store.write_claim_window(tx, &self.consumer, &self.topic, partition, window).await
    }

    /// Runs work in a transaction, which commits when the work succeeds.
    pub(super) async fn transact<R: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t mut S::Tx) -> BoxFuture<'t, Result<R, Error>> + Send + 'static,
    ) -> Result<R, Error> {
        self.transact_if(move |tx| {
            let work = work(tx);
            Box::pin(async move { Ok((work.await?, true)) })
        })
        .await
    }

    /// As [`transact`](Self::transact); the work says whether there is anything to commit.
    pub(super) async fn transact_if<R: Send + 'static>(
        &self,
        work: impl for<'t> FnOnce(&'t mut S::Tx) -> BoxFuture<'t, Result<(R, bool), Error>> + Send + 'static,
    ) -> Result<R, Error> {
        let done = self.store.transact(Box::new(move |mut tx| {
            Box::pin(async move {
                let end = match work(&mut tx).await {
                    Ok((result, true)) => End::Commit(Ok(result)),
                    Ok((result, false)) => End::Rollback(Ok(result)),
                    Err(error) => End::Rollback(Err(error)),
                };
                (tx, end)
            })
        }));
        done.await.map_err(|failed| failed.error().clone())?
    }
}
