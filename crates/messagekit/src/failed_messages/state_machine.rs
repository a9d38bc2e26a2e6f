//! State transitions of a failed message, without clock and database.

use jiff::Timestamp;

use super::{Action, FailedMessageState, StateReason};

/// Defines the state of a failed message and its transitions. Every store implements these rules, and tests compare a
/// store with them.
///
/// Callers supply all times; a store takes them from its database.
///
/// ```
/// use jiff::Timestamp;
/// use messagekit::operations::{Action, FailedMessageState, StateMachine, StateReason};
///
/// let now = Timestamp::UNIX_EPOCH;
/// let mut failed_message = StateMachine::set_aside(1, None);
/// assert_eq!(failed_message.act(Action::Retry, now), Ok(FailedMessageState::RetryRequested));
/// assert_eq!(failed_message.act(Action::Retry, now), Err(FailedMessageState::RetryRequested));
/// let token = failed_message.lease(now, now).expect("it is due");
/// assert!(failed_message.resolve(token));
/// assert_eq!((failed_message.state, failed_message.reason), (FailedMessageState::Resolved, StateReason::Applied));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateMachine {
    /// The state.
    pub state: FailedMessageState,
    /// Why it is in this state. Set by every transition that changes the state, and by every failed run.
    pub reason: StateReason,
    /// Number of runs that failed, including the one in flight.
    pub attempts: u32,
    /// Number of leases that ended without a result while the message ran alone.
    pub crash_count: u32,
    /// Number of messages of its key that run together in the last lease, including this one.
    pub run_length: u32,
    /// Number of messages of its key, including this one, that run one at a time because a joint run crashed.
    pub alone: u32,
    /// When it runs again; while leased, the end of the lease. `None` if no run is planned.
    pub due: Option<Timestamp>,
    /// Increases with every lease and every operator action: fences earlier holders.
    pub token: i64,
    /// Whether a lease was granted and has no result yet.
    pub running: bool,
    /// Whether it takes part in the order of its key: only the first open message of a key may run.
    pub parked: bool,
    /// Whether a failure of its own set it aside, or a run of it failed since. A store reads it from the kind: until then the
    /// kind is [`KeyBlocked`](crate::adapter::FailureKind::KeyBlocked). The attempts do not tell: a retry sets them to 0, and
    /// some failures come before the first run.
    pub has_failed: bool,
}

impl StateMachine {
    /// Creates the state of a message set aside after `attempts` failed runs, which runs again at `again` or is dead.
    pub fn set_aside(attempts: u32, again: Option<Timestamp>) -> Self {
        let state =
            if again.is_some() { FailedMessageState::RetryScheduled } else { FailedMessageState::Dead };
        Self {
            state,
            reason: StateReason::SetAside,
            attempts,
            crash_count: 0,
            run_length: 1,
            alone: 0,
            due: again,
            token: 0,
            running: false,
            parked: false,
            has_failed: true,
        }
    }

    /// Creates the state of a message that waits for its key and has not failed itself. If `behind` is not set, the earlier
    /// messages of its key have been closed meanwhile, and it is due at `now`.
    pub fn waiting(now: Timestamp, behind: bool) -> Self {
        Self { has_failed: false, ..Self::parked(0, Some(now), behind) }
    }

    /// Creates the state of a message whose own failure blocks its key. If `behind` is set, an earlier open message of the key
    /// blocks it, whatever its failure is.
    pub fn parked(attempts: u32, again: Option<Timestamp>, behind: bool) -> Self {
        let first = Self { parked: true, ..Self::set_aside(attempts, again) };
        if !behind {
            return first;
        }
        Self { state: FailedMessageState::Blocked, reason: StateReason::KeyBlocked, due: None, ..first }
    }

    /// Schedules a blocked message at `now`, because no earlier message of its key is open. Returns false and changes
    /// nothing if it was not blocked.
    pub fn promote(&mut self, now: Timestamp) -> bool {
        let waited = self.state == FailedMessageState::Blocked;
        if waited {
            (self.state, self.reason) = (FailedMessageState::RetryScheduled, StateReason::KeyFreed);
            self.due = Some(now);
        }
        waited
    }

    /// Returns whether it can be leased: a run is planned, or its last lease expired without a result. A parked message
    /// must also be the first of its key.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.may_run() && self.due.is_some_and(|due| due <= now)
    }

    /// Leases the message until `until` and returns the token of the lease, or `None` if it is not due.
    pub fn lease(&mut self, now: Timestamp, until: Timestamp) -> Option<i64> {
        if !self.is_due(now) {
            return None;
        }
        self.token += 1;
        // The previous run has no result, so its process crashed. The crash counts only if the message ran alone.
        let has_died = std::mem::replace(&mut self.running, true);
        let is_blamed = has_died && self.run_length == 1;
        self.attempts += u32::from(!has_died || is_blamed);
        self.crash_count += u32::from(is_blamed);
        if has_died {
            self.alone = self.alone.max(self.run_length);
        }
        self.run_length = 1;
        self.due = Some(until);
        Some(self.token)
    }

    /// Records that up to `most` messages of its key run together in this lease, which now ends at `until`. Returns
    /// false and changes nothing if the lease is not current.
    pub fn begin_run(&mut self, token: i64, most: u32, until: Timestamp) -> bool {
        let ours = self.is_leased_as(token);
        if ours {
            (self.run_length, self.due) = (most, Some(until));
        }
        ours
    }

    /// Records that it was applied after the first message of its key, in the same run. Returns false and changes
    /// nothing if its state changed since the token was read.
    pub fn resolve_behind(&mut self, token: i64) -> bool {
        let waits = self.state == FailedMessageState::Blocked && self.token == token;
        if waits {
            (self.state, self.reason) = (FailedMessageState::Resolved, StateReason::Applied);
        }
        waits
    }

    /// Takes over the remaining one-at-a-time runs from the resolved message before it in its key.
    pub fn inherit(&mut self, alone: u32) {
        self.alone = self.alone.max(alone.saturating_sub(1));
    }

    /// Returns whether the lease of this token is the last one granted and has no result yet.
    pub fn is_leased_as(&self, token: i64) -> bool {
        self.may_run() && self.running && self.token == token
    }

    /// Records that the run of this lease was applied. Returns false and changes nothing if the lease is not current.
    pub fn resolve(&mut self, token: i64) -> bool {
        let resolved = self.answer(token, FailedMessageState::Resolved, StateReason::Applied, None);
        // The run that applied it has not failed.
        self.attempts -= u32::from(resolved);
        resolved
    }

    /// Records that the run of this lease failed: the message runs at `again` or is dead. It is dead at once if an
    /// operator requested the run. Returns false and changes nothing if the lease is not current.
    pub fn fail(&mut self, token: i64, again: Option<Timestamp>) -> bool {
        let (reason, again) = match self.state {
            FailedMessageState::RetryRequested => (StateReason::RequestedRunFailed, None),
            _ => (StateReason::RunFailed, again),
        };
        let state =
            if again.is_some() { FailedMessageState::RetryScheduled } else { FailedMessageState::Dead };
        let failed = self.answer(token, state, reason, again);
        self.has_failed |= failed;
        failed
    }

    /// Returns the lease without counting the run: the message is due again at `due`. Returns false and changes nothing
    /// if the lease is not current.
    pub fn hand_back(&mut self, token: i64, due: Timestamp) -> bool {
        let handed_back = self.answer(token, self.state, self.reason, Some(due));
        self.attempts -= u32::from(handed_back);
        handed_back
    }

    /// Applies an operator's action and returns the new state. A parked message that has not failed itself is blocked when
    /// it is brought back. The caller that knows no earlier message is open [promotes](Self::promote) it. Every other
    /// message is dead then, as no action but a retry makes a message run that its consumer would not run by itself.
    ///
    /// A retry makes a run that is planned for later due now, and keeps state, reason and counts. It does not apply while the
    /// message is leased or due, so two retries never cause two runs.
    ///
    /// # Errors
    /// Returns the current state if the action does not apply to it; nothing changes then.
    pub fn act(&mut self, act: Action, now: Timestamp) -> Result<FailedMessageState, FailedMessageState> {
        let acted = act.of(self.state).ok_or(self.state)?;
        if act == Action::Retry && self.may_run() {
            return self.run_now(now);
        }
        let takes_its_turn = act == Action::Undo && self.parked && !self.has_failed;
        let state = if takes_its_turn { FailedMessageState::Blocked } else { acted };
        if act == Action::Retry {
            (self.attempts, self.crash_count) = (0, 0);
        }
        self.due = (act == Action::Retry).then_some(now);
        self.reason = match act {
            Action::Retry => StateReason::RetryRequested,
            Action::Discard => StateReason::Discarded,
            Action::Undo => StateReason::DiscardUndone,
        };
        (self.state, self.running) = (state, false);
        self.token += 1;
        Ok(state)
    }

    fn run_now(&mut self, now: Timestamp) -> Result<FailedMessageState, FailedMessageState> {
        if self.running || self.due.is_none_or(|due| due <= now) {
            return Err(self.state);
        }
        self.due = Some(now);
        self.token += 1;
        Ok(self.state)
    }

    fn may_run(&self) -> bool {
        matches!(self.state, FailedMessageState::RetryScheduled | FailedMessageState::RetryRequested)
    }

    fn answer(
        &mut self,
        token: i64,
        state: FailedMessageState,
        reason: StateReason,
        due: Option<Timestamp>,
    ) -> bool {
        let ours = self.is_leased_as(token);
        if ours {
            (self.state, self.reason, self.due, self.running) = (state, reason, due, false);
        }
        ours
    }
}
