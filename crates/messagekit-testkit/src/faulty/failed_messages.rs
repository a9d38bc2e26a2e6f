//! A store with one fault in its failed messages.

use std::time::Duration;

use messagekit::adapter::{
    ClaimRequest, Failure, Follower, Next, Processed, ReceivedMessage, Retries, RetryLease, SetAside,
    SetAsideOutcome,
};
use messagekit::operations::{Action, FailedMessages, Operator};
use messagekit::{Error, MessageId, ParkingLimits, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

/// The end of a lease that never ends.
const FOR_EVER: Duration = Duration::from_secs(1_000_000_000);

impl FaultyStore {
    fn kept(&self, received: &ReceivedMessage) -> ReceivedMessage {
        let mut kept = received.clone();
        match self.fault {
            Some(Fault::FailedMessageCutsPayload) => kept.message.payload.truncate(1_000),
            Some(Fault::FailedMessageManglesBytes) => {
                let text = String::from_utf8_lossy(&kept.message.payload).into_owned();
                kept.message.payload = text.into();
            }
            Some(Fault::FailedMessageInventsId) if kept.id.is_position() => kept.id = MessageId::new(),
            _ => {}
        }
        kept
    }

    fn changed(&self, failure: &Failure) -> Failure {
        let mut changed = failure.clone();
        let at_once = Next::Retry(Duration::ZERO);
        match (self.fault, failure.next) {
            (Some(Fault::LeasesTheDead), Next::Dead) => changed.next = at_once,
            (Some(Fault::LeasesTooEarly), Next::Retry(_)) => changed.next = at_once,
            (Some(Fault::FailedMessageForgetsError), _) => changed.error.clear(),
            (Some(Fault::SetsAsideUnderNoGeneration), _) => changed.generation = 0,
            _ => {}
        }
        changed
    }

    /// Returns the lease with the current token, whichever token it has.
    fn with_present_token(&self, leased: &RetryLease) -> RetryLease {
        let token = self.notes().tokens.get(&leased.failed_message).copied().unwrap_or(leased.token);
        RetryLease { token, ..leased.clone() }
    }
}

impl SetAside for FaultyStore {
    async fn set_aside(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        let (received, failure) = (self.kept(received), self.changed(failure));
        self.notes().held.insert(received.id.clone());
        self.notes().consumers.insert(consumer.to_owned());
        if self.is(Fault::FailedMessageOutsideTransaction) {
            let mut own = self.inner.begin().await?;
            let outcome = self.inner.set_aside(&mut own, consumer, &received, &failure).await?;
            self.inner.commit(own).await?;
            return Ok(outcome);
        }
        if self.is(Fault::SetsOwnClaimAside) && tx.has_claimed(&received.id) {
            let claim = ClaimRequest {
                id: received.id.clone(),
                topic: received.message.topic.clone(),
                key: received.message.key.clone(),
                generation: 0,
            };
            self.inner.unclaim(tx.inner(), consumer, &[claim]).await?;
        }
        if self.is(Fault::SetAsideHoldsItsKey) && received.position.is_some() {
            let limits = ParkingLimits::default();
            return self.inner.park(tx.inner(), consumer, &received, &failure, limits).await;
        }
        let outcome = self.inner.set_aside(tx.inner(), consumer, &received, &failure).await?;
        let always = self.is(Fault::SetAsideAgain) || self.is(Fault::SetsAppliedAside);
        Ok(if always { SetAsideOutcome::SetAside } else { outcome })
    }

    async fn park(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        self.park_with_fault(tx, consumer, received, failure, limits).await
    }

    async fn park_behind(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> Result<usize, Error> {
        self.park_behind_with_fault(tx, consumer, behind, limits).await
    }
}

impl Retries for FaultyStore {
    async fn lease(&self, consumer: &str, max: u32, lease: Duration) -> Result<Vec<RetryLease>, Error> {
        let lease = if self.is(Fault::LeaseNeverEnds) { FOR_EVER } else { lease };
        let everything = self.is(Fault::LeasesNewestFirst);
        let mut leased = self.inner.lease(consumer, if everything { u32::MAX } else { max }, lease).await?;
        match self.fault {
            Some(Fault::LeasesNewestFirst) => {
                leased.reverse();
                for rest in leased.drain((max as usize).min(leased.len())..) {
                    self.inner.hand_back(consumer, &rest, Duration::ZERO).await?;
                }
            }
            Some(Fault::LeasesTwice | Fault::LeaseLooksFirst) if leased.is_empty() => {
                let mut notes = self.notes();
                // The second worker still sees what the first worker leased.
                leased = if self.is(Fault::LeasesTwice) {
                    notes.leased.clone()
                } else {
                    std::mem::take(&mut notes.leased)
                };
            }
            Some(Fault::LeasesForAnybody) if leased.is_empty() => {
                let others: Vec<String> = self.notes().consumers.iter().cloned().collect();
                for other in others {
                    leased.extend(self.inner.lease(&other, max, lease).await?);
                }
            }
            Some(Fault::LeaseDropsTheKey) => {
                leased.iter_mut().for_each(|leased| leased.received.message.key = None);
            }
            Some(Fault::ForgetsWhoRunsAlone) => leased.iter_mut().for_each(|leased| leased.alone = 0),
            Some(Fault::ForgetsKills) => leased.iter_mut().for_each(|leased| leased.crash_count = 0),
            Some(Fault::RetryKeepsAttempts) => {
                leased.iter_mut().filter(|leased| leased.requested).for_each(|leased| leased.attempt += 9);
            }
            _ => {}
        }
        self.leases_out_of_turn(consumer, &mut leased).await?;
        let mut notes = self.notes();
        notes.tokens.extend(leased.iter().map(|leased| (leased.failed_message, leased.token)));
        if matches!(self.fault, Some(Fault::LeasesTwice | Fault::LeaseLooksFirst)) && notes.first_lease {
            notes.first_lease = false;
            notes.leased.clone_from(&leased);
        }
        Ok(leased)
    }

    async fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> Result<Option<u32>, Error> {
        let noted = if self.is(Fault::RunIsNotNoted) { 1 } else { most };
        let begun = self.inner.begin_run(consumer, leased, noted, lease).await?;
        Ok(match self.fault {
            Some(Fault::RunBeginsWithoutTheLease) => Some(most),
            Some(Fault::RunsAlone | Fault::RunIsNotNoted) => begun.map(|_| most),
            _ => begun,
        })
    }

    async fn followers(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> Result<Vec<Follower>, Error> {
        self.followers_with_fault(tx, consumer, failed_message, messages, bytes).await
    }

    async fn resolve(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> Result<bool, Error> {
        self.notes().resolved.insert(leased.received.id.clone());
        if !followers.is_empty() {
            return self.resolve_run_with_fault(tx, consumer, leased, followers).await;
        }
        match self.fault {
            Some(Fault::ResolveIgnoresToken) => {
                let leased = self.with_present_token(leased);
                self.inner.resolve(tx.inner(), consumer, &leased, &[]).await
            }
            Some(Fault::ResolveOutsideTransaction) => {
                let mut own = self.inner.begin().await?;
                let resolved = self.inner.resolve(&mut own, consumer, leased, &[]).await?;
                self.inner.commit(own).await?;
                Ok(resolved)
            }
            Some(Fault::DiscardFencesNobody) if self.notes().discarded.contains(&leased.failed_message) => {
                Ok(true)
            }
            _ => self.inner.resolve(tx.inner(), consumer, leased, &[]).await,
        }
    }

    async fn fail(&self, consumer: &str, leased: &RetryLease, failure: &Failure) -> Result<bool, Error> {
        let mut failure = failure.clone();
        let mut leased = leased.clone();
        match self.fault {
            Some(Fault::FailForgetsDelay | Fault::FailKeepsRetrying) => {
                failure.next = Next::Retry(Duration::ZERO);
            }
            Some(Fault::AnswerIgnoresToken) => leased = self.with_present_token(&leased),
            _ => {}
        }
        let failed = self.inner.fail(consumer, &leased, &failure).await?;
        self.notes().has_died |= leased.parked && failure.next == Next::Dead;
        let replayed = self.notes().replayed.contains(&leased.failed_message);
        if self.is(Fault::ReplayGoesOn) && replayed {
            let by = Operator::new("fault", "test");
            FailedMessages::act(&self.inner, Action::Retry, &[leased.failed_message], &by).await?;
        }
        Ok(failed || self.is(Fault::AnswersTwice))
    }

    async fn hand_back(&self, consumer: &str, leased: &RetryLease, delay: Duration) -> Result<bool, Error> {
        match self.fault {
            Some(Fault::HandBackBurnsAttempt) => {
                let failure = Failure {
                    next: Next::Retry(delay),
                    ..Failure::retryable(messagekit::adapter::FailureKind::Failed, "handed back")
                };
                self.inner.fail(consumer, leased, &failure).await
            }
            Some(Fault::HandBackForgetsKills) => {
                self.notes().handed_back.insert(leased.failed_message);
                self.inner.hand_back(consumer, leased, delay).await
            }
            Some(Fault::AnswerIgnoresToken) => {
                self.inner.hand_back(consumer, &self.with_present_token(leased), delay).await
            }
            Some(Fault::AnswersTwice) => self.inner.hand_back(consumer, leased, delay).await.map(|_| true),
            _ => self.inner.hand_back(consumer, leased, delay).await,
        }
    }
}
