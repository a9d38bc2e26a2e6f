//! A store with one fault in its claims.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::{ClaimRequest, Processed};
use messagekit::{Claim, Error, ErrorKind, MessageId, Store};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

impl FaultyStore {
    fn seen(&self, claim: &ClaimRequest) -> ClaimRequest {
        let mut seen = claim.clone();
        if self.is(Fault::IdsIgnoreCase) {
            seen.id = MessageId::from_stored(&claim.id.as_str().trim().to_lowercase());
        }
        self.asks_about_the_key(&mut seen);
        seen
    }

    /// Claims in a transaction of its own, which commits.
    async fn claim_at_once(&self, consumer: &str, claims: &[ClaimRequest]) -> Result<Vec<Claim>, Error> {
        let mut tx = self.inner.begin().await?;
        let answers = self.inner.claim(&mut tx, consumer, claims).await?;
        self.inner.commit(tx).await?;
        Ok(answers)
    }

    async fn claim_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        claims: &[ClaimRequest],
    ) -> Result<Vec<Claim>, Error> {
        match self.fault {
            Some(Fault::ClaimSurvivesRollback | Fault::MarkerWithoutEffects) => {
                self.claim_at_once(consumer, claims).await
            }
            Some(Fault::ClaimLooksFirst) => {
                let known = claims.iter().map(|claim| self.inner.marker(consumer, &claim.id));
                Ok(known.map(|known| known.unwrap_or(Claim::Fresh)).collect())
            }
            Some(Fault::ClaimTakesRivalsForDone) => {
                // Probe in another transaction: a refusal ends the transaction that receives it.
                let mut probe = self.inner.begin().await?;
                match self.inner.claim(&mut probe, consumer, claims).await {
                    Err(error) if error.kind() == ErrorKind::Conflict => Ok(vec![Claim::Done; claims.len()]),
                    _ => {
                        drop(probe);
                        self.inner.claim(tx.inner(), consumer, claims).await
                    }
                }
            }
            Some(Fault::ClaimsRunOutOfParameters) if claims.len() > 500 => {
                Err(Error::new(ErrorKind::Other, "too many parameters"))
            }
            _ => self.inner.claim(tx.inner(), consumer, claims).await,
        }
    }
}

impl Processed for FaultyStore {
    async fn note_window(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> Result<Option<Timestamp>, Error> {
        self.note(consumer, window).await
    }

    async fn oldest_return(&self, topics: &[Arc<str>]) -> Result<Option<Duration>, Error> {
        match self.fault {
            Some(Fault::NothingGoesBack) => Ok(None),
            _ => self.inner.oldest_return(topics).await,
        }
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
