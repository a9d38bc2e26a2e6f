//! Dead letters in memory: setting aside and running again.

use std::time::Duration;

use jiff::Timestamp;

use super::clock::Clock;
use super::markers::{Marker, letter_held};
use super::store::Tables;
use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};
use crate::dead_letters::{DeadLetter, LetterHead, LetterState, Origin};
use crate::message::type_in_headers;
use crate::store::{Claim, Failure, Leased, Next, Received, Retries, SetAside, SetAsideOutcome};
use crate::{Error, ErrorKind, MessageId};

/// A letter with what only the store knows about it.
#[derive(Clone)]
pub(super) struct Letter {
    pub(super) letter: DeadLetter,
    /// Grows with every lease and every act of a person: fences who held it before.
    pub(super) token: i64,
    /// A lease was given and not answered yet.
    pub(super) running: bool,
}

/// What a transaction does to a letter that exists already.
pub(super) struct LetterUpdate {
    state: LetterState,
    at: Timestamp,
}

impl Letter {
    fn new(id: i64, consumer: &str, received: &Received, failure: &Failure, clock: Clock) -> Self {
        let now = clock.now();
        let mut letter = Self {
            letter: DeadLetter {
                head: LetterHead {
                    id,
                    consumer: consumer.to_owned(),
                    origin: Origin::Store,
                    return_to: None,
                    message_id: received.id.clone(),
                    topic: received.message.topic.clone(),
                    place: received.place.clone(),
                    key: received.message.key.clone(),
                    event_type: type_in_headers(&received.message).map(str::to_owned),
                    state: LetterState::Dead,
                    attempts: failure.attempts,
                    kills: 0,
                    due: None,
                    kind: String::new(),
                    error: String::new(),
                    fingerprint: String::new(),
                    set_aside_at: now,
                    changed_at: now,
                    payload_bytes: received.message.payload.len() as u64,
                },
                received: received.clone(),
            },
            token: 0,
            running: false,
        };
        letter.note(failure, clock);
        letter
    }

    /// Notes a failure and what follows from it.
    fn note(&mut self, failure: &Failure, clock: Clock) {
        let asked_by_a_person = self.letter.head.state == LetterState::Replaying;
        let due = match failure.next {
            Next::Retry(delay) if !asked_by_a_person => Some(clock.after(delay)),
            _ => None,
        };
        self.letter.head.state = if due.is_some() { LetterState::Retrying } else { LetterState::Dead };
        self.letter.head.due = due;
        self.letter.head.kind = failure.kind.to_string();
        self.letter.head.error.clone_from(&failure.error);
        self.letter.head.fingerprint = failure.fingerprint();
        self.letter.head.changed_at = clock.now();
        self.running = false;
    }

    pub(super) fn apply(&mut self, update: &LetterUpdate) {
        self.letter.head.state = update.state;
        self.letter.head.due = None;
        self.letter.head.changed_at = update.at;
        self.running = false;
    }

    fn may_run(&self) -> bool {
        matches!(self.letter.state, LetterState::Retrying | LetterState::Replaying)
    }

    fn is_due(&self, consumer: &str, now: Timestamp) -> bool {
        self.letter.consumer == consumer && self.may_run() && self.letter.due.is_some_and(|due| due <= now)
    }

    fn is_leased_as(&self, consumer: &str, leased: &Leased) -> bool {
        self.letter.consumer == consumer && self.may_run() && self.running && self.token == leased.token
    }

    fn lease(&mut self, until: Timestamp) -> Leased {
        self.token += 1;
        self.letter.head.attempts += 1;
        // The run before never answered: its process died.
        self.letter.head.kills += u32::from(std::mem::replace(&mut self.running, true));
        self.letter.head.due = Some(until);
        Leased {
            letter: self.letter.id,
            token: self.token,
            attempt: self.letter.attempts,
            kills: self.letter.kills,
            replaying: self.letter.head.state == LetterState::Replaying,
            received: self.letter.received.clone(),
        }
    }
}

impl Tables {
    /// Returns the letter if this lease of it still holds, outside of any transaction.
    fn leased(&mut self, consumer: &str, leased: &Leased) -> Result<Option<&mut Letter>, Error> {
        if self.locks.holds_letter(leased.letter) {
            return Err(letter_held(leased.letter));
        }
        Ok(self.letters.get_mut(&leased.letter).filter(|letter| letter.is_leased_as(consumer, leased)))
    }
}

impl SetAside for MemoryStore {
    async fn set_aside(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        received: &Received,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        let clock = self.database.clock;
        self.statement(tx, Some(Failpoint::SetAside), |tables, tx| {
            let key = (consumer.to_owned(), received.id.clone());
            tables.locks.marker(tx.number, &key)?;
            if tables.marker_in(tx, &key).is_some() {
                tables.only_looked(tx, &key);
                return Ok(SetAsideOutcome::AlreadySettled);
            }
            tx.writes.markers.insert(key, Marker { claim: Claim::Held, generation: 0 });
            // Like a sequence: a rollback leaves a gap.
            tables.last_letter += 1;
            let letter = Letter::new(tables.last_letter, consumer, received, failure, clock);
            tx.writes.letters.insert(tables.last_letter, letter);
            Ok(SetAsideOutcome::SetAside)
        })
    }
}

impl Retries for MemoryStore {
    async fn lease(&self, consumer: &str, max: u32, lease: Duration) -> Result<Vec<Leased>, Error> {
        let clock = self.database.clock;
        self.tables(|tables| {
            tables.pass(Failpoint::Lease)?;
            let now = clock.now();
            let mut due: Vec<(Option<Timestamp>, i64)> = tables
                .letters
                .iter()
                .filter(|(number, letter)| {
                    letter.is_due(consumer, now) && !tables.locks.holds_letter(**number)
                })
                .map(|(number, letter)| (letter.letter.due, *number))
                .collect();
            due.sort_unstable();
            due.truncate(max as usize);
            let until = clock.after(lease);
            let leased =
                due.into_iter().filter_map(|(_, number)| Some(tables.letters.get_mut(&number)?.lease(until)));
            Ok(leased.collect())
        })
    }

    async fn resolve(&self, tx: &mut MemoryTx, consumer: &str, leased: &Leased) -> Result<bool, Error> {
        let at = self.database.clock.now();
        self.statement(tx, Some(Failpoint::Resolve), |tables, tx| {
            let known = tables.letters.get(&leased.letter);
            if !known.is_some_and(|letter| letter.is_leased_as(consumer, leased)) {
                return Ok(false);
            }
            tables.locks.letter(tx.number, leased.letter)?;
            let key: (String, MessageId) = (consumer.to_owned(), leased.received.id.clone());
            tables.locks.marker(tx.number, &key)?;
            match tables.marker_in(tx, &key) {
                Some(Marker { claim: Claim::Held, generation }) => {
                    tx.writes.markers.insert(key, Marker { claim: Claim::Done, generation });
                    tx.writes
                        .updates
                        .insert(leased.letter, LetterUpdate { state: LetterState::Resolved, at });
                    Ok(true)
                }
                _ => {
                    let error = Error::new(ErrorKind::Corrupt, "letter is open and its message is not held");
                    Err(error.with("letter", leased.letter).with("message_id", &leased.received.id))
                }
            }
        })
    }

    async fn fail(&self, consumer: &str, leased: &Leased, failure: &Failure) -> Result<bool, Error> {
        let clock = self.database.clock;
        self.tables(|tables| {
            tables.pass(Failpoint::Fail)?;
            let letter = tables.leased(consumer, leased)?;
            Ok(letter.map(|letter| letter.note(failure, clock)).is_some())
        })
    }

    async fn hand_back(&self, consumer: &str, leased: &Leased, delay: Duration) -> Result<bool, Error> {
        let due = self.database.clock.after(delay);
        self.tables(|tables| {
            tables.pass(Failpoint::HandBack)?;
            let letter = tables.leased(consumer, leased)?;
            Ok(letter
                .map(|letter| {
                    letter.letter.head.attempts -= 1;
                    letter.letter.head.due = Some(due);
                    letter.running = false;
                })
                .is_some())
        })
    }
}
