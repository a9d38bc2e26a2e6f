//! A store with one fault: the order of keys.

use messagekit::{
    Claim, ClaimRequest, DeadLetters, Error, Failure, Leased, LetterFilter, LetterState, Next, ParkingRoom,
    Place, Received, SetAside, SetAsideOutcome, Store,
};

use super::Fault;
use super::store::{FaultyStore, FaultyTx};

/// Room for everything.
const ENDLESS: ParkingRoom = ParkingRoom { per_key: u32::MAX, in_all: u32::MAX };

/// Returns a key as a database compares it that takes it for a text.
fn as_text(key: &[u8]) -> Vec<u8> {
    String::from_utf8_lossy(key).trim().to_lowercase().into_bytes()
}

impl FaultyStore {
    /// Changes what a claim asks about its key.
    pub(super) fn asks_about_the_key(&self, request: &mut ClaimRequest) {
        let notes = self.notes();
        let forgets = self.is(Fault::UndoHoldsNoKey) && !notes.undone.is_empty()
            || self.is(Fault::DeadHeadLeavesItsKey) && notes.has_died;
        if forgets {
            request.key = None;
        }
        if self.is(Fault::HeldKeysIgnoreTopic) {
            request.topic = "everything".into();
        }
        if self.is(Fault::HeldKeysAreText) {
            request.key = request.key.as_deref().map(|key| as_text(key).into());
        }
    }

    /// Changes what a claim answers about a key.
    pub(super) fn answers_about_the_key(&self, request: &ClaimRequest, answer: Claim) -> Claim {
        let kept = self.is(Fault::DiscardKeepsItsKey) && !self.notes().discarded.is_empty();
        if kept && request.key.is_some() && answer == Claim::Fresh { Claim::Behind } else { answer }
    }

    fn parked(&self, received: &Received) -> Received {
        let mut parked = received.clone();
        if self.is(Fault::HeldKeysAreText) {
            parked.message.key = parked.message.key.as_deref().map(|key| as_text(key).into());
        }
        if self.is(Fault::HeldKeysIgnoreTopic) {
            parked.message.topic = "everything".into();
        }
        if self.is(Fault::ParksByArrival)
            && let Some(place) = parked.place.take()
        {
            let mut notes = self.notes();
            notes.arrivals += 1;
            parked.place = Some(Place { offset: notes.arrivals, ..place });
        }
        parked
    }

    pub(super) async fn park_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        received: &Received,
        failure: &Failure,
        room: ParkingRoom,
    ) -> Result<SetAsideOutcome, Error> {
        let (received, mut failure) = (self.parked(received), failure.clone());
        let mut room = room;
        match self.fault {
            Some(Fault::ParkHoldsNoKey) => {
                return self.inner.set_aside(tx.inner(), consumer, &received, &failure).await;
            }
            Some(Fault::ParksOutsideTransaction) => {
                let mut own = self.inner.begin().await?;
                let outcome = self.inner.park(&mut own, consumer, &received, &failure, room).await?;
                self.inner.commit(own).await?;
                return Ok(outcome);
            }
            Some(Fault::ParkedIsDead) => failure.next = Next::Dead,
            Some(Fault::ParksUnderNoGeneration) => failure.generation = 0,
            Some(Fault::ParkHasEndlessRoom) => room = ENDLESS,
            _ => {}
        }
        let outcome = self.inner.park(tx.inner(), consumer, &received, &failure, room).await?;
        Ok(if self.is(Fault::ParkIgnoresMarkers) { SetAsideOutcome::SetAside } else { outcome })
    }

    pub(super) async fn park_behind_with_fault(
        &self,
        tx: &mut FaultyTx,
        consumer: &str,
        behind: &[&Received],
        room: ParkingRoom,
    ) -> Result<usize, Error> {
        let behind: Vec<Received> = behind.iter().map(|received| self.parked(received)).collect();
        let mut room = room;
        match self.fault {
            Some(Fault::BehindIsForgotten) => return Ok(behind.len()),
            Some(Fault::BehindHasEndlessRoom) => room = ENDLESS,
            Some(Fault::WaitsBehindADrainedKey) => {
                for received in &behind {
                    let filter = LetterFilter {
                        consumer: Some(consumer.to_owned()),
                        key: received.message.key.as_ref().map(|key| key.to_vec()),
                        ..LetterFilter::default()
                    };
                    let letters = self.inner.list(&filter, 1_000).await?;
                    if !letters.iter().any(|letter| letter.state.is_open()) {
                        self.notes().stuck.insert(received.id.clone());
                    }
                }
            }
            _ => {}
        }
        let behind: Vec<&Received> = behind.iter().collect();
        self.inner.park_behind(tx.inner(), consumer, &behind, room).await
    }

    /// Changes which letters are leased.
    pub(super) async fn leases_out_of_turn(
        &self,
        consumer: &str,
        leased: &mut Vec<Leased>,
    ) -> Result<(), Error> {
        leased.retain(|leased| {
            let notes = self.notes();
            let promoted = leased.parked && leased.attempt == 1 && !leased.replaying;
            match self.fault {
                Some(Fault::NobodyIsPromoted) => !promoted,
                Some(Fault::DiscardPromotesNobody) => !promoted || notes.discarded.is_empty(),
                Some(Fault::UndoneWaitsForEver) => !promoted || !notes.undone.contains(&leased.letter),
                Some(Fault::WaitsBehindADrainedKey) => !notes.stuck.contains(&leased.received.id),
                _ => true,
            }
        });
        let wanted = match self.fault {
            Some(Fault::PromotesBeforeTheCommit) if !self.notes().resolved.is_empty() => LetterState::Waiting,
            Some(Fault::LeasesPastADeadHead) => LetterState::Retrying,
            _ => return Ok(()),
        };
        let filter =
            LetterFilter { consumer: Some(consumer.to_owned()), state: Some(wanted), ..Default::default() };
        if leased.is_empty()
            && let Some(head) = self.inner.list(&filter, 1).await?.first()
        {
            leased.push(Leased {
                letter: head.id,
                token: 0,
                attempt: head.attempts + 1,
                kills: head.kills,
                replaying: false,
                parked: true,
                received: self.inner.show(head.id).await?.received,
            });
        }
        Ok(())
    }
}
