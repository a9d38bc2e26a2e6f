//! A store with one fault in the order of keys.

use std::time::Duration;

use messagekit::adapter::{
    ClaimRequest, FailedMessageRows, Failure, FailureKind, Follower, Markers, Next, ReceivedMessage, Retries,
    RetryLease, SetAsideOutcome,
};
use messagekit::operations::{FailedMessageFilter, FailedMessageState, FailedMessages};
use messagekit::{Claim, Error, ParkingLimits, Position, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

/// Limits without a bound.
const ENDLESS: ParkingLimits = ParkingLimits { per_key: u32::MAX, in_all: u32::MAX };

/// Returns a key as a database compares it when it treats the key as text.
fn as_text(key: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(key).trim().to_lowercase().into_bytes()
}

impl FaultyStore {
    /// Changes the key in a claim request.
    pub(super) fn asks_about_the_key(&self, request: &mut ClaimRequest) {
        let notes = self.notes();
        let forgets = self.is(Fault::UndoHoldsNoKey) && !notes.undone.is_empty()
            || self.is(Fault::DeadHeadLeavesItsKey) && notes.has_died;
        if forgets {
            request.key = None;
        }
        if self.is(Fault::BlockedKeysIgnoreTopic) {
            request.topic = "everything".into();
        }
        if self.is(Fault::BlockedKeysAreText) {
            request.key = request.key.as_deref().map(|key| as_text(key).into());
        }
    }

    /// Changes the answer to a claim about its key.
    pub(super) fn answers_about_the_key(&self, request: &ClaimRequest, answer: Claim) -> Claim {
        let keeps = self.is(Fault::DiscardKeepsItsKey) || self.is(Fault::RunKeepsItsKey);
        let kept = keeps && !self.notes().discarded.is_empty();
        if kept && request.key.is_some() && answer == Claim::Fresh { Claim::KeyBlocked } else { answer }
    }

    fn parked(&self, received: &ReceivedMessage) -> ReceivedMessage {
        let mut parked = received.clone();
        if self.is(Fault::BlockedKeysAreText) {
            parked.message.key = parked.message.key.as_deref().map(|key| as_text(key).into());
        }
        if self.is(Fault::BlockedKeysIgnoreTopic) {
            parked.message.topic = "everything".into();
        }
        if self.is(Fault::ParksByArrival)
            && let Some(position) = parked.position.take()
        {
            let mut notes = self.notes();
            notes.arrivals += 1;
            parked.position = Some(Position { offset: notes.arrivals, ..position });
        }
        parked
    }

    pub(super) async fn park_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        let (received, mut failure) = (self.parked(received), failure.clone());
        let mut limits = limits;
        match self.fault {
            Some(Fault::ParkHoldsNoKey) => {
                return self.inner.set_aside(tx.inner(), consumer, &received, &failure).await;
            }
            Some(Fault::ParksOutsideTransaction) => {
                let mut own = self.inner.begin().await?;
                let outcome = self.inner.park(&mut own, consumer, &received, &failure, limits).await?;
                self.inner.commit(own).await?;
                return Ok(outcome);
            }
            Some(Fault::ParkedIsDead) => failure.next = Next::Dead,
            Some(Fault::ParksUnderNoGeneration) => failure.generation = 0,
            Some(Fault::ParkHasEndlessRoom) => limits = ENDLESS,
            _ => {}
        }
        let outcome = self.inner.park(tx.inner(), consumer, &received, &failure, limits).await?;
        Ok(if self.is(Fault::ParkIgnoresMarkers) { SetAsideOutcome::SetAside } else { outcome })
    }

    pub(super) async fn park_behind_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> Result<usize, Error> {
        let behind: Vec<ReceivedMessage> = behind.iter().map(|received| self.parked(received)).collect();
        let mut limits = limits;
        match self.fault {
            Some(Fault::BehindIsForgotten) => return Ok(behind.len()),
            Some(Fault::BehindHasEndlessRoom) => limits = ENDLESS,
            Some(Fault::WaitsBehindADrainedKey | Fault::ParksBehindAFreeKey) => {
                for received in &behind {
                    let filter = FailedMessageFilter {
                        consumer: Some(consumer.to_owned()),
                        key: received.message.key.as_ref().map(|key| key.to_vec()),
                        ..FailedMessageFilter::default()
                    };
                    let failed_messages = self.inner.list(&filter, 1_000).await?;
                    if !failed_messages.iter().any(|failed_message| failed_message.state.is_open()) {
                        let for_ever = self.is(Fault::WaitsBehindADrainedKey);
                        return self.parks_as_head(tx, consumer, received, for_ever).await;
                    }
                }
            }
            _ => {}
        }
        let behind: Vec<&ReceivedMessage> = behind.iter().collect();
        self.inner.park_behind(tx.inner(), consumer, &behind, limits).await
    }

    /// Parks a message that was claimed behind a key that is free now, as a message that is due at once or never.
    async fn parks_as_head(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        received: &ReceivedMessage,
        for_ever: bool,
    ) -> Result<usize, Error> {
        let claim = ClaimRequest {
            id: received.id.clone(),
            topic: received.message.topic.clone(),
            key: received.message.key.clone(),
            generation: 0,
        };
        self.inner.unclaim(tx.inner(), consumer, &[claim]).await?;
        let next = if for_ever { Next::Dead } else { Next::Retry(Duration::ZERO) };
        let failure =
            Failure { next, ..Failure::permanent(FailureKind::Failed, "behind a key that is free") };
        self.inner.park(tx.inner(), consumer, received, &failure, ENDLESS).await?;
        Ok(1)
    }

    /// Changes which messages run after another one.
    pub(super) async fn followers_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> Result<Vec<Follower>, Error> {
        let (mut most, mut size) = (messages, bytes);
        match self.fault {
            Some(Fault::FollowersAreEndless) => (most, size) = (u32::MAX, u64::MAX),
            Some(Fault::FollowersOutOfOrder) => most = u32::MAX,
            _ => {}
        }
        let mut followers = self.inner.followers(tx.inner(), consumer, failed_message, most, size).await?;
        match self.fault {
            Some(Fault::FollowersOutOfOrder) => {
                followers.reverse();
                followers.truncate(messages as usize);
            }
            Some(Fault::FollowersBurnAttempts) => followers.iter_mut().for_each(|one| one.attempt += 1),
            _ => {}
        }
        Ok(followers)
    }

    /// Changes the outcome of a run.
    pub(super) async fn resolve_run_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> Result<bool, Error> {
        match self.fault {
            Some(Fault::RunResolvesItsHeadOnly) => {
                self.inner.resolve(tx.inner(), consumer, leased, &[]).await
            }
            Some(Fault::RunIgnoresTheLease) => {
                self.inner.resolve(tx.inner(), consumer, leased, followers).await.map(|_| true)
            }
            Some(Fault::RunIgnoresWhatAnOperatorDid) => {
                let waits =
                    self.inner.followers(tx.inner(), consumer, leased.failed_message, u32::MAX, u64::MAX);
                let waits = waits.await?;
                let still: Vec<Follower> =
                    followers.iter().filter(|one| waits.contains(one)).cloned().collect();
                self.inner.resolve(tx.inner(), consumer, leased, &still).await
            }
            Some(Fault::RunKeepsItsKey) => {
                self.notes().discarded.insert(leased.failed_message);
                self.inner.resolve(tx.inner(), consumer, leased, followers).await
            }
            _ => self.inner.resolve(tx.inner(), consumer, leased, followers).await,
        }
    }

    /// Changes which failed messages are leased.
    pub(super) async fn leases_out_of_turn(
        &self,
        consumer: &str,
        leased: &mut Vec<RetryLease>,
    ) -> Result<(), Error> {
        leased.retain(|leased| {
            let notes = self.notes();
            let promoted = leased.parked && leased.attempt == 1 && !leased.requested;
            match self.fault {
                Some(Fault::NobodyIsPromoted) => !promoted,
                Some(Fault::RetriedHeadPromotesNothing) => !promoted || notes.replayed.is_empty(),
                Some(Fault::DiscardPromotesNobody) => !promoted || notes.discarded.is_empty(),
                Some(Fault::UndoneWaitsForEver) => {
                    !promoted || !notes.undone.contains(&leased.failed_message)
                }
                Some(Fault::UndoneRunIsOver) => {
                    leased.attempt == 1 || !notes.undone.contains(&leased.failed_message)
                }
                _ => true,
            }
        });
        let wanted = match self.fault {
            Some(Fault::PromotesBeforeTheCommit) if !self.notes().resolved.is_empty() => {
                FailedMessageState::Blocked
            }
            Some(Fault::LeasesPastADeadHead | Fault::RetryOvertakesItsKey) => {
                FailedMessageState::RetryScheduled
            }
            _ => return Ok(()),
        };
        let filter = FailedMessageFilter {
            consumer: Some(consumer.to_owned()),
            state: Some(wanted),
            ..Default::default()
        };
        if leased.is_empty()
            && let Some(head) = self.inner.list(&filter, 1).await?.first()
        {
            leased.push(RetryLease {
                failed_message: head.id,
                token: 0,
                attempt: head.attempts + 1,
                crash_count: head.crash_count,
                alone: 0,
                requested: false,
                parked: true,
                received: self.inner.show(head.id).await?.received,
            });
        }
        Ok(())
    }
}
