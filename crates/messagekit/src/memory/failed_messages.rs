//! Failed messages in memory: storing and retrying them.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::clock::Clock;
use super::markers::{Marker, failed_message_held};
use super::store::Tables;
use super::tx::MemoryTx;
use super::{Failpoint, MemoryStore};
use crate::failed_messages::{
    Action, FailedMessage, FailedMessageHead, FailedMessageState, Origin, StateMachine,
};
use crate::message::type_in_headers;
use crate::store::{
    Claim, Failure, Follower, Next, ParkingLimits, ReceivedMessage, Retries, RetryLease, SetAside,
    SetAsideOutcome,
};
use crate::{Error, ErrorKind, MessageId};

/// A failed message with internal data of the store.
#[derive(Clone)]
pub(super) struct StoredMessage {
    failed_message: FailedMessage,
    standing: StateMachine,
}

/// A failed message that a transaction resolves.
pub(super) struct Resolving {
    pub(super) token: i64,
    /// It has no lease and runs after a leased message of its key.
    pub(super) follows: bool,
    pub(super) at: Timestamp,
}

impl StoredMessage {
    pub(super) fn new(
        id: i64,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        clock: Clock,
    ) -> Self {
        let now = clock.now();
        let mut failed_message = Self {
            failed_message: FailedMessage {
                head: FailedMessageHead {
                    id,
                    consumer: consumer.to_owned(),
                    origin: Origin::Store,
                    return_to: None,
                    message_id: received.id.clone(),
                    topic: received.message.topic.clone(),
                    position: received.position.clone(),
                    key: received.message.key.clone(),
                    event_type: type_in_headers(&received.message).map(str::to_owned),
                    state: FailedMessageState::Dead,
                    attempts: 0,
                    crash_count: 0,
                    parked: false,
                    holds_back: 0,
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
            standing: StateMachine::set_aside(failure.attempts, again(failure, clock)),
        };
        failed_message.note(failure);
        failed_message.show(now);
        failed_message
    }

    /// Sets the origin and the redelivery target of a broker dead letter.
    pub(super) fn kept_by_a_broker(mut self, origin: Origin, return_to: Option<String>) -> Self {
        (self.failed_message.head.origin, self.failed_message.head.return_to) = (origin, return_to);
        self
    }

    /// Adds it to the order of its key.
    pub(super) fn parked(mut self, behind: bool) -> Self {
        let StateMachine { attempts, due, .. } = self.standing;
        self.standing = StateMachine::parked(attempts, due, behind);
        self.failed_message.head.parked = true;
        self.show(self.failed_message.head.changed_at);
        self
    }

    /// Makes it due, because no earlier message of its key is open. `alone` is the number of one-at-a-time runs of the
    /// previous message.
    pub(super) fn promote(&mut self, now: Timestamp, alone: u32) {
        if self.standing.promote(now) {
            self.standing.inherit(alone);
            self.show(now);
        }
    }

    /// Returns the public part.
    pub(super) fn failed_message(&self) -> &FailedMessage {
        &self.failed_message
    }

    pub(super) fn head(&self) -> &FailedMessageHead {
        &self.failed_message.head
    }

    pub(super) fn standing(&self) -> StateMachine {
        self.standing
    }

    pub(super) fn marker_key(&self) -> (String, MessageId) {
        (self.failed_message.head.consumer.clone(), self.failed_message.head.message_id.clone())
    }

    /// Returns whether it is a broker dead letter with an unknown redelivery target.
    pub(super) fn has_no_way_back(&self) -> bool {
        self.failed_message.origin != Origin::Store && self.failed_message.return_to.is_none()
    }

    pub(super) fn resolve(&mut self, resolving: &Resolving) {
        let resolved = match resolving.follows {
            true => self.standing.resolve_behind(resolving.token),
            false => self.standing.resolve(resolving.token),
        };
        if resolved {
            self.show(resolving.at);
        }
    }

    /// Returns its data for a run after another message of the key, if it is blocked.
    pub(super) fn follower(&self) -> Option<Follower> {
        let StateMachine { state, token, attempts, .. } = self.standing;
        (state == FailedMessageState::Blocked).then(|| Follower {
            failed_message: self.failed_message.id,
            token,
            attempt: attempts + 1,
            received: self.failed_message.received.clone(),
        })
    }

    pub(super) fn act(
        &mut self,
        act: Action,
        now: Timestamp,
    ) -> Result<FailedMessageState, FailedMessageState> {
        let result = self.standing.act(act, now);
        if result.is_ok() {
            self.show(now);
        }
        result
    }

    pub(super) fn lease(&mut self, now: Timestamp, until: Timestamp) -> Option<RetryLease> {
        let token = self.standing.lease(now, until)?;
        self.show(self.failed_message.head.changed_at);
        Some(RetryLease {
            failed_message: self.failed_message.id,
            token,
            attempt: self.standing.attempts,
            crash_count: self.standing.crash_count,
            alone: self.standing.alone,
            requested: self.standing.state == FailedMessageState::RetryRequested,
            parked: self.standing.parked,
            received: self.failed_message.received.clone(),
        })
    }

    fn is_leased_as(&self, consumer: &str, leased: &RetryLease) -> bool {
        self.failed_message.consumer == consumer && self.standing.is_leased_as(leased.token)
    }

    fn note(&mut self, failure: &Failure) {
        self.failed_message.head.kind = failure.kind.to_string();
        self.failed_message.head.error.clone_from(&failure.error);
        self.failed_message.head.fingerprint = failure.fingerprint();
    }

    /// Copies its state to the public part.
    fn show(&mut self, changed_at: Timestamp) {
        let StateMachine { state, attempts, crash_count, due, .. } = self.standing;
        let head = &mut self.failed_message.head;
        (head.state, head.attempts, head.crash_count, head.due) = (state, attempts, crash_count, due);
        head.changed_at = changed_at;
    }
}

fn again(failure: &Failure, clock: Clock) -> Option<Timestamp> {
    match failure.next {
        Next::Retry(delay) => Some(clock.after(delay)),
        Next::Dead => None,
    }
}

impl Tables {
    /// Returns the failed message if this lease is current, outside of any transaction.
    fn leased(&mut self, consumer: &str, leased: &RetryLease) -> Result<Option<&mut StoredMessage>, Error> {
        if self.locks.holds_failed_message(leased.failed_message) {
            return Err(failed_message_held(leased.failed_message));
        }
        Ok(self
            .failed_messages
            .get_mut(&leased.failed_message)
            .filter(|failed_message| failed_message.is_leased_as(consumer, leased)))
    }

    /// Resolves a failed message and marks its message as applied when the transaction commits.
    fn resolve(
        &mut self,
        tx: &mut MemoryTx,
        consumer: &str,
        failed_message: i64,
        message: &MessageId,
        resolving: Resolving,
    ) -> Result<(), Error> {
        self.locks.failed_message(tx.number, failed_message)?;
        let key: (String, MessageId) = (consumer.to_owned(), message.clone());
        self.locks.marker(tx.number, &key)?;
        match self.marker_in(tx, &key) {
            Some(Marker { claim: Claim::Held, generation, .. }) => {
                tx.writes.markers.insert(key, Marker::new(Claim::Done, generation));
                tx.writes.resolved.insert(failed_message, resolving);
                Ok(())
            }
            _ => {
                let error =
                    Error::new(ErrorKind::Corrupt, "failed message is open and its message is not held");
                Err(error.with("failed_message", failed_message).with("message_id", message))
            }
        }
    }

    /// Leases at most `max` due failed messages of a selection, earliest due time first.
    pub(super) fn lease_due(
        &mut self,
        max: u32,
        now: Timestamp,
        until: Timestamp,
        is_meant: impl Fn(&StoredMessage) -> bool,
    ) -> Vec<RetryLease> {
        let free = self.failed_messages.iter().filter(|(number, failed_message)| {
            failed_message.standing.is_due(now)
                && is_meant(failed_message)
                && !self.locks.holds_failed_message(**number)
                && !self.waits_for_another(failed_message)
        });
        let mut due: Vec<_> =
            free.map(|(number, failed_message)| (failed_message.standing.due, *number)).collect();
        due.sort_unstable();
        due.truncate(max as usize);
        due.into_iter()
            .filter_map(|(_, number)| self.failed_messages.get_mut(&number)?.lease(now, until))
            .collect()
    }

    /// Stores a failed message unless a marker settles its message.
    pub(super) fn set_aside(
        &mut self,
        tx: &mut MemoryTx,
        scope: &str,
        id: &MessageId,
        generation: i32,
        failed_message: impl FnOnce(i64) -> StoredMessage,
    ) -> Result<SetAsideOutcome, Error> {
        let key = (scope.to_owned(), id.clone());
        self.locks.marker(tx.number, &key)?;
        if self.marker_in(tx, &key).is_some_and(|marker| !marker.yields_to(generation)) {
            self.only_looked(tx, &key);
            return Ok(SetAsideOutcome::AlreadySettled);
        }
        tx.writes.markers.insert(key, Marker::new(Claim::Held, generation));
        // As with a database sequence, a rollback leaves a gap.
        self.last_failed_message += 1;
        tx.writes.failed_messages.insert(self.last_failed_message, failed_message(self.last_failed_message));
        Ok(SetAsideOutcome::SetAside)
    }
}

impl Tables {
    /// Returns the age of the oldest open failed message with one of the topics as redelivery target.
    pub(super) fn oldest_return(&self, topics: &[Arc<str>], now: Timestamp) -> Option<Duration> {
        let goes_back = |head: &&FailedMessageHead| {
            let way = head.return_to.as_deref();
            head.state.is_open() && topics.iter().any(|topic| way == Some(&**topic))
        };
        let oldest = self
            .failed_messages
            .values()
            .map(StoredMessage::head)
            .filter(goes_back)
            .map(|head| head.set_aside_at)
            .min();
        oldest.and_then(|oldest| Duration::try_from(now.duration_since(oldest)).ok())
    }
}

impl SetAside for MemoryStore {
    async fn set_aside(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
    ) -> Result<SetAsideOutcome, Error> {
        let clock = self.database.clock;
        self.statement(tx, Some(Failpoint::SetAside), |tables, tx| {
            tables.set_aside(tx, consumer, &received.id, failure.generation, |number| {
                StoredMessage::new(number, consumer, received, failure, clock)
            })
        })
    }

    async fn park(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        received: &ReceivedMessage,
        failure: &Failure,
        limits: ParkingLimits,
    ) -> Result<SetAsideOutcome, Error> {
        let clock = self.database.clock;
        self.statement(tx, Some(Failpoint::Park), |tables, tx| {
            tables.park(tx, consumer, received, failure, limits, clock)
        })
    }

    async fn park_behind(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        behind: &[&ReceivedMessage],
        limits: ParkingLimits,
    ) -> Result<usize, Error> {
        let clock = self.database.clock;
        self.statement(tx, Some(Failpoint::ParkBehind), |tables, tx| {
            tables.park_behind(tx, consumer, behind, limits, clock)
        })
    }
}

impl Retries for MemoryStore {
    async fn lease(&self, consumer: &str, max: u32, lease: Duration) -> Result<Vec<RetryLease>, Error> {
        let clock = self.database.clock;
        self.tables(|tables| {
            tables.pass(Failpoint::Lease)?;
            let (now, until) = (clock.now(), clock.after(lease));
            Ok(tables.lease_due(max, now, until, |failed_message| {
                failed_message.failed_message.consumer == consumer
            }))
        })
    }

    async fn begin_run(
        &self,
        consumer: &str,
        leased: &RetryLease,
        most: u32,
        lease: Duration,
    ) -> Result<Option<u32>, Error> {
        let until = self.database.clock.after(lease);
        self.tables(|tables| {
            tables.pass(Failpoint::BeginRun)?;
            let waits = !tables.followers(consumer, leased.failed_message, 1, u64::MAX).is_empty();
            let Some(failed_message) = tables.leased(consumer, leased)? else { return Ok(None) };
            let length = if waits { most } else { 1 };
            let begun = failed_message.standing.begin_run(leased.token, length, until);
            failed_message.show(failed_message.failed_message.head.changed_at);
            Ok(begun.then_some(length))
        })
    }

    async fn followers(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        failed_message: i64,
        messages: u32,
        bytes: u64,
    ) -> Result<Vec<Follower>, Error> {
        self.statement(tx, None, |tables, _| Ok(tables.followers(consumer, failed_message, messages, bytes)))
    }

    async fn resolve(
        &self,
        tx: &mut MemoryTx,
        consumer: &str,
        leased: &RetryLease,
        followers: &[Follower],
    ) -> Result<bool, Error> {
        let at = self.database.clock.now();
        self.statement(tx, Some(Failpoint::Resolve), |tables, tx| {
            let known = tables.failed_messages.get(&leased.failed_message);
            let Some(known) = known.filter(|failed_message| failed_message.is_leased_as(consumer, leased))
            else {
                return Ok(false);
            };
            if let Some(key) = known.blocked_key() {
                tables.locks.key(tx.number, &key)?;
            }
            let waits = |follower: &Follower| {
                let waiting =
                    tables.failed_messages.get(&follower.failed_message).and_then(StoredMessage::follower);
                waiting.is_some_and(|waiting| waiting.token == follower.token)
            };
            if !followers.iter().all(waits) {
                return Ok(false);
            }
            let head = Resolving { token: leased.token, follows: false, at };
            tables.resolve(tx, consumer, leased.failed_message, &leased.received.id, head)?;
            for Follower { failed_message, token, received, .. } in followers {
                let follows = Resolving { token: *token, follows: true, at };
                tables.resolve(tx, consumer, *failed_message, &received.id, follows)?;
            }
            Ok(true)
        })
    }

    async fn fail(&self, consumer: &str, leased: &RetryLease, failure: &Failure) -> Result<bool, Error> {
        let clock = self.database.clock;
        self.tables(|tables| {
            tables.pass(Failpoint::Fail)?;
            let Some(failed_message) = tables.leased(consumer, leased)? else { return Ok(false) };
            let failed = failed_message.standing.fail(leased.token, again(failure, clock));
            failed_message.note(failure);
            failed_message.show(clock.now());
            Ok(failed)
        })
    }

    async fn hand_back(&self, consumer: &str, leased: &RetryLease, delay: Duration) -> Result<bool, Error> {
        let due = self.database.clock.after(delay);
        self.tables(|tables| {
            tables.pass(Failpoint::HandBack)?;
            let Some(failed_message) = tables.leased(consumer, leased)? else { return Ok(false) };
            let handed_back = failed_message.standing.hand_back(leased.token, due);
            failed_message.show(failed_message.failed_message.head.changed_at);
            Ok(handed_back)
        })
    }
}
