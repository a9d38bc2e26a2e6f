//! A store with one fault in the tables of consumers.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{
    Attempts, ClaimRequest, FailedMessageRows, Failure, Follower, Markers, Next, NextOffset, Positions,
    Priming, Primings, ReceivedMessage, Retries, RetryLease, SetAsideOutcome, UnhandledType,
};
use messagekit::operations::{Action, FailedMessages, Operator};
use messagekit::{Claim, Error, ErrorKind, MessageId, ParkingLimits, Store};

use super::Fault;
use super::failed_messages::FOR_EVER;
use super::store::{FaultyStore, FaultyTx};
use crate::unique;

impl Markers for FaultyStore {
    async fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> Result<Option<Timestamp>, Error> {
        self.note(consumer, window).await
    }

    async fn claim(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        let consumer = if self.is(Fault::ClaimIgnoresConsumer) { "everybody" } else { consumer };
        let mut requests: Vec<ClaimRequest> = requests.iter().map(|request| self.seen(request)).collect();
        if self.is(Fault::FirstCopySpeaksForAll) {
            let first = requests.first().map_or(0, |request| request.generation);
            requests.iter_mut().for_each(|request| request.generation = first);
        }
        let mut answers = self.claim_with_fault(tx, consumer, &requests).await?;
        let first = |index: usize| requests.iter().position(|request| request.id == requests[index].id);
        for index in 0..answers.len() {
            let id = &requests[index].id;
            let notes = self.notes();
            answers[index] = match (self.fault, answers[index]) {
                (Some(Fault::ClaimAlwaysFresh), _) => Claim::Fresh,
                (Some(Fault::SecondCopyFresh), _) => {
                    first(index).map_or(Claim::Fresh, |first| answers[first])
                }
                (Some(Fault::OwnClaimsAreFresh), Claim::Done) if tx.has_claimed(id) => Claim::Fresh,
                (Some(Fault::UnclaimForgetsWhatWasDone), Claim::Done) if notes.unheld.contains(id) => {
                    Claim::Fresh
                }
                (Some(Fault::FailedMessageWithoutMarker), Claim::Held) => Claim::Fresh,
                (Some(Fault::HoldsForEverybody), _) if notes.held.contains(id) => Claim::Held,
                (Some(Fault::ResolveLeavesHeld), Claim::Done) if notes.resolved.contains(id) => Claim::Held,
                (Some(Fault::DiscardLeavesHeld), Claim::Discarded) => Claim::Held,
                (Some(Fault::UndoLeavesDiscarded), Claim::Held) if !notes.undone.is_empty() => {
                    Claim::Discarded
                }
                (_, answer) => answer,
            };
        }
        for (answer, request) in answers.iter_mut().zip(&requests) {
            *answer = self.answers_about_the_key(request, *answer);
            if *answer == Claim::KeyBlocked {
                tx.behind.insert(request.id.clone());
            }
        }
        let fresh = requests.iter().zip(&answers).filter(|(_, answer)| **answer == Claim::Fresh);
        tx.claims.extend(fresh.map(|(request, _)| (consumer.to_owned(), request.clone())));
        if self.is(Fault::ClaimsAnswerSorted) {
            let mut by_id: Vec<_> = requests.iter().map(|request| &request.id).zip(answers).collect();
            by_id.sort_by_key(|(id, _)| *id);
            answers = by_id.into_iter().map(|(_, answer)| answer).collect();
        }
        if self.is(Fault::UnclaimIgnoresConsumer) {
            answers.iter_mut().zip(&requests).for_each(|(answer, request)| {
                if self.notes().unheld.contains(&request.id) {
                    *answer = Claim::Fresh;
                }
            });
        }
        Ok(answers)
    }

    async fn unclaim(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        requests: &[ClaimRequest],
    ) -> Result<(), Error> {
        match self.fault {
            Some(Fault::UnclaimDoesNothing) => Ok(()),
            Some(Fault::UnclaimLeavesBehind) => {
                let rest = requests.iter().filter(|request| !tx.behind.contains(&request.id));
                let rest: Vec<ClaimRequest> = rest.cloned().collect();
                self.inner.unclaim(tx.inner(), consumer, &rest).await
            }
            Some(Fault::UnclaimTakesAll) => {
                let all: Vec<ClaimRequest> = tx.claims.iter().map(|(_, claim)| claim.clone()).collect();
                self.inner.unclaim(tx.inner(), consumer, &all).await
            }
            Some(Fault::UnclaimIgnoresConsumer | Fault::UnclaimForgetsWhatWasDone) => {
                self.notes().unheld.extend(requests.iter().map(|request| request.id.clone()));
                self.inner.unclaim(tx.inner(), consumer, requests).await
            }
            _ => self.inner.unclaim(tx.inner(), consumer, requests).await,
        }
    }
}

impl Positions for FaultyStore {
    async fn note_unhandled(&self, consumer: &str, types: &[UnhandledType]) -> Result<(), Error> {
        self.notes().unhandled.extend(types.iter().cloned());
        self.inner.note_unhandled(consumer, types).await
    }

    async fn advance(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        positions: &[NextOffset],
    ) -> Result<(), Error> {
        let mut positions = positions.to_vec();
        if self.is(Fault::OffsetsIgnoreKeyLanes) {
            positions.iter_mut().for_each(|position| position.key_lane = 0);
        }
        for position in &positions {
            let NextOffset { topic, partition, key_lane, next } = position.clone();
            self.notes().offsets.insert((consumer.to_owned(), topic, partition, key_lane), next);
        }
        if self.is(Fault::OffsetsOutsideTransaction) {
            let mut own = self.inner.begin().await?;
            self.inner.advance(&mut own, consumer, &positions).await?;
            return self.inner.commit(own).await;
        }
        match self.inner.advance(tx.inner(), consumer, &positions).await {
            Err(error) if self.is(Fault::AdvanceHidesAborted) && error.kind() == ErrorKind::Aborted => Ok(()),
            answer => answer,
        }
    }

    async fn next_of(&self, consumer: &str, topic: &str) -> Result<Vec<NextOffset>, Error> {
        let mut noted = self.inner.next_of(consumer, topic).await?;
        if self.is(Fault::OffsetsGoBack) {
            for known in &mut noted {
                let key = (consumer.to_owned(), known.topic.clone(), known.partition, known.key_lane);
                known.next = self.notes().offsets.get(&key).copied().unwrap_or(known.next);
            }
        }
        Ok(noted)
    }
}

impl FailedMessageRows<FaultyTx> for FaultyStore {
    async fn oldest_return(&self, topics: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        match self.fault {
            Some(Fault::NothingGoesBack) => Ok(None),
            _ => self.inner.oldest_return(topics).await,
        }
    }

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

impl Retries<FaultyTx> for FaultyStore {
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

impl Attempts<FaultyTx> for FaultyStore {
    async fn begin_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<u32, Error> {
        let anybody = unique("anybody");
        let by = if self.is(Fault::AttemptsCountTheirOwn) { &anybody } else { by };
        let notes = self.inner.begin_attempt(self.attempts_of(consumer), message, by).await?;
        Ok(if self.is(Fault::AttemptsForgetDeaths) { 0 } else { notes })
    }

    async fn clear_attempts(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        message: &MessageId,
    ) -> Result<(), Error> {
        match self.fault {
            Some(Fault::ClearingDoesNothing) => Ok(()),
            Some(Fault::AttemptsClearedOutsideTransaction) => self.clear_at_once(consumer, message).await,
            _ => self.inner.clear_attempts(tx.inner(), self.attempts_of(consumer), message).await,
        }
    }

    async fn withdraw_attempt(&self, consumer: &str, message: &MessageId, by: &str) -> Result<(), Error> {
        match self.fault {
            Some(Fault::WithdrawalDoesNothing) => Ok(()),
            Some(Fault::CountedNotesStay) => {
                let others = self.inner.begin_attempt(consumer, message, by).await?;
                if others > 0 { Ok(()) } else { self.inner.withdraw_attempt(consumer, message, by).await }
            }
            Some(Fault::WithdrawalClearsAttempts) => self.clear_at_once(consumer, message).await,
            _ => self.inner.withdraw_attempt(self.attempts_of(consumer), message, by).await,
        }
    }

    async fn clear_finished_attempts(&self, consumer: &str) -> Result<(), Error> {
        if self.is(Fault::SweepDoesNothing) {
            Ok(())
        } else {
            self.inner.clear_finished_attempts(consumer).await
        }
    }
}

impl Primings<FaultyTx> for FaultyStore {
    async fn priming(&self, consumer: &str) -> Result<Option<Priming>, Error> {
        self.priming_with_fault(consumer).await
    }

    async fn begin_priming(&self, tx: &mut FaultyTx, consumer: &str, after: u32) -> Result<bool, Error> {
        self.begin_priming_with_fault(tx, consumer, after).await
    }

    async fn write_priming(&self, tx: &mut FaultyTx, consumer: &str, priming: Priming) -> Result<(), Error> {
        self.write_priming_with_fault(tx, consumer, priming).await
    }
}
