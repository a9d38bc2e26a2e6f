//! A failed message in memory.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::{Failure, FailureKind, Follower, Next, ReceivedMessage, RetryLease, instance};
use messagekit::operations::{
    Action, ActionTarget, FailedMessage, FailedMessageHead, FailedMessageState, FailedMessageVersion,
    FailedRun, Origin, StateMachine, StateReason,
};
use messagekit::{Claim, MessageId};

use super::blocked_key::{BlockedKey, Turn};
use super::clock::Clock;

/// A failed message with internal data of the store.
#[derive(Clone)]
pub(super) struct StoredMessage {
    pub(super) failed_message: FailedMessage,
    pub(super) standing: StateMachine,
    /// When it was leased last.
    leased_at: Timestamp,
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
                    event_type: received.message.event_type().map(str::to_owned),
                    state: FailedMessageState::Dead,
                    reason: StateReason::SetAside,
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
                failed_runs: Vec::new(),
            },
            standing: StateMachine::set_aside(failure.attempts, again(failure, clock)),
            leased_at: now,
        };
        failed_message.note(failure);
        if failure.attempts > 0 {
            failed_message.keep_run(now, failure.attempts, &failure.error);
        }
        failed_message.show(now);
        failed_message
    }

    /// Sets the origin and the redelivery target of a broker dead letter.
    pub(super) fn kept_by_a_broker(mut self, origin: Origin, return_to: Option<String>) -> Self {
        (self.failed_message.head.origin, self.failed_message.head.return_to) = (origin, return_to);
        self.failed_message.failed_runs.clear();
        self
    }

    /// Adds it to the order of its key, as the head or behind another one.
    pub(super) fn parked(mut self, behind: bool) -> Self {
        let StateMachine { attempts, due, .. } = self.standing;
        let failed = StateMachine::parked(attempts, due, behind);
        let has_failed = self.failed_message.head.kind != FailureKind::KeyBlocked.as_str();
        self.standing = StateMachine { has_failed, ..failed };
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

    pub(super) fn version(&self) -> FailedMessageVersion {
        let StateMachine { token, state, running, .. } = self.standing;
        FailedMessageVersion::new(self.failed_message.id, token, state, running)
    }

    pub(super) fn marker_key(&self) -> (String, MessageId) {
        (self.failed_message.head.consumer.clone(), self.failed_message.head.message_id.clone())
    }

    /// Returns the key whose order it takes part in.
    pub(super) fn blocked_key(&self) -> Option<BlockedKey> {
        let head = self.head();
        let key = head.key.clone().filter(|_| head.parked)?;
        Some(BlockedKey { consumer: head.consumer.clone(), topic: Arc::clone(&head.topic), key })
    }

    /// Returns its turn in the order of its key.
    pub(super) fn turn(&self) -> Option<Turn> {
        let head = self.head();
        head.position.as_ref().map(|position| (position.partition, position.offset, head.id))
    }

    /// Returns it as an action of an operator finds it; `marker` is what its marker says.
    pub(super) fn target(&self, marker: Option<Claim>, now: Timestamp) -> ActionTarget {
        let StateMachine { state, running, due, .. } = self.standing;
        let FailedMessageHead { id, origin, ref return_to, .. } = self.failed_message.head;
        let has_way_back = origin == Origin::Store || return_to.is_some();
        let is_due = running || due.is_some_and(|due| due <= now);
        let is_contradicted = marker.is_some_and(|marker| marker != Claim::from(state.marker()));
        ActionTarget { id, state, is_due, has_way_back, is_contradicted }
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
        let before = self.standing.state;
        let result = self.standing.act(act, now);
        if let Ok(state) = result {
            self.show(if state == before { self.failed_message.head.changed_at } else { now });
        }
        result
    }

    /// Moves a retry that was just requested.
    pub(super) fn postpone(&mut self, due: Timestamp) {
        self.standing.due = Some(due);
        self.show(self.failed_message.head.changed_at);
    }

    pub(super) fn lease(&mut self, now: Timestamp, until: Timestamp) -> Option<RetryLease> {
        let StateMachine { running, run_length, attempts, .. } = self.standing;
        self.standing.lease(now, until)?;
        if running && run_length == 1 {
            self.keep_run(self.leased_at, attempts, FailedRun::WITHOUT_RESULT);
        }
        self.leased_at = now;
        self.show(self.failed_message.head.changed_at);
        Some(self.last_lease())
    }

    /// Returns the last lease.
    pub(super) fn last_lease(&self) -> RetryLease {
        RetryLease {
            failed_message: self.failed_message.id,
            token: self.standing.token,
            attempt: self.standing.attempts,
            crash_count: self.standing.crash_count,
            alone: self.standing.alone,
            requested: self.standing.state == FailedMessageState::RetryRequested,
            parked: self.standing.parked,
            received: self.failed_message.received.clone(),
        }
    }

    /// Returns when it is due, if a retry is planned.
    pub(super) fn retry_due(&self) -> Option<Timestamp> {
        let StateMachine { state, due, .. } = self.standing;
        let is_planned =
            matches!(state, FailedMessageState::RetryScheduled | FailedMessageState::RetryRequested);
        due.filter(|_| is_planned)
    }

    pub(super) fn is_leased_as(&self, consumer: &str, leased: &RetryLease) -> bool {
        self.failed_message.consumer == consumer && self.standing.is_leased_as(leased.token)
    }

    /// Records the failed run of the present lease.
    pub(super) fn fail(&mut self, token: i64, failure: &Failure, clock: Clock) -> bool {
        let attempts = self.standing.attempts;
        let failed = self.standing.fail(token, again(failure, clock));
        self.note(failure);
        self.keep_run(clock.now(), attempts, &failure.error);
        self.show(clock.now());
        failed
    }

    /// Adds a failed run to the last ones.
    fn keep_run(&mut self, at: Timestamp, attempt: u32, error: &str) {
        let runs = &mut self.failed_message.failed_runs;
        runs.push(FailedRun { at, attempt, error: error.to_owned(), instance: Some(instance().to_owned()) });
        runs.drain(..runs.len().saturating_sub(FailedRun::KEPT));
    }

    fn note(&mut self, failure: &Failure) {
        self.failed_message.head.kind = failure.kind.to_string();
        self.failed_message.head.error.clone_from(&failure.error);
        self.failed_message.head.fingerprint = failure.fingerprint();
    }

    /// Copies its state to the public part.
    pub(super) fn show(&mut self, changed_at: Timestamp) {
        let StateMachine { state, reason, attempts, crash_count, due, .. } = self.standing;
        let head = &mut self.failed_message.head;
        (head.state, head.reason) = (state, reason);
        (head.attempts, head.crash_count, head.due) = (attempts, crash_count, due);
        head.changed_at = changed_at;
    }
}

pub(super) fn again(failure: &Failure, clock: Clock) -> Option<Timestamp> {
    match failure.next {
        Next::Retry(delay) => Some(clock.after(delay)),
        Next::Dead => None,
    }
}
