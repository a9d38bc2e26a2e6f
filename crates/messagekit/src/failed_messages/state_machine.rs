//! How a failed message moves from state to state, without clock and database.

use jiff::Timestamp;

use super::{Action, FailedMessageState};
use crate::store::Claim;

/// Where a failed message stands, and who may move it: the rules that every store keeps, in a form that tests can run beside one.
///
/// Times come from outside; a store takes them from its database.
///
/// ```
/// use jiff::Timestamp;
/// use messagekit::{Action, FailedMessageState, StateMachine};
///
/// let now = Timestamp::UNIX_EPOCH;
/// let mut failed_message = StateMachine::set_aside(1, None);
/// assert_eq!(failed_message.act(Action::Retry, now), Ok(FailedMessageState::RetryRequested));
/// assert_eq!(failed_message.act(Action::Retry, now), Err(FailedMessageState::RetryRequested));
/// let token = failed_message.lease(now, now).expect("it is due");
/// assert!(failed_message.resolve(token));
/// assert_eq!(failed_message.state, FailedMessageState::Resolved);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StateMachine {
    /// The state.
    pub state: FailedMessageState,
    /// How many runs have failed it, the one in flight included.
    pub attempts: u32,
    /// How many leases of it alone ended without an answer.
    pub crash_count: u32,
    /// How many messages of its key run together in the lease that was given last, this one included.
    pub run_length: u32,
    /// How many messages of its key, this one included, run one at a time, because a process ended in a run of them.
    pub alone: u32,
    /// When it runs again; when leased, the end of the lease. `None` where no run is planned.
    pub due: Option<Timestamp>,
    /// Grows with every lease and every act of a person: fences who held it before.
    pub token: i64,
    /// A lease was given and not answered yet.
    pub running: bool,
    /// It takes part in the order of its key: of the open ones of a key, only the first may run.
    pub parked: bool,
}

impl StateMachine {
    /// A message was set aside after `attempts` failed runs, to run `again` or dead.
    pub fn set_aside(attempts: u32, again: Option<Timestamp>) -> Self {
        let state =
            if again.is_some() { FailedMessageState::RetryScheduled } else { FailedMessageState::Dead };
        Self {
            state,
            attempts,
            crash_count: 0,
            run_length: 1,
            alone: 0,
            due: again,
            token: 0,
            running: false,
            parked: false,
        }
    }

    /// A message that holds its key was set aside; with open failed messages of its key before it, it waits for them whatever its
    /// failure says.
    pub fn parked(attempts: u32, again: Option<Timestamp>, behind: bool) -> Self {
        let first = Self { parked: true, ..Self::set_aside(attempts, again) };
        if behind { Self { state: FailedMessageState::Blocked, due: None, ..first } } else { first }
    }

    /// No open failed message of its key is before it any more: it runs at `now`. Returns false, and changes nothing, when it did
    /// not wait.
    pub fn promote(&mut self, now: Timestamp) -> bool {
        let waited = self.state == FailedMessageState::Blocked;
        if waited {
            (self.state, self.due) = (FailedMessageState::RetryScheduled, Some(now));
        }
        waited
    }

    /// Returns whether somebody may lease it: it waits for a run, or whoever leased it never answered. A parked one must also
    /// be the first of its key.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.may_run() && self.due.is_some_and(|due| due <= now)
    }

    /// Leases it until a time and returns the token of the lease, or `None` when it is not due.
    pub fn lease(&mut self, now: Timestamp, until: Timestamp) -> Option<i64> {
        if !self.is_due(now) {
            return None;
        }
        self.token += 1;
        // The run before never answered: its process died, of this message only if it ran alone. Else that run counts for
        // nothing.
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

    /// Up to `most` messages of its key run together in this lease, which ends at `until` now. Returns false, and changes
    /// nothing, when the lease is no longer this one.
    pub fn begin_run(&mut self, token: i64, most: u32, until: Timestamp) -> bool {
        let ours = self.is_leased_as(token);
        if ours {
            (self.run_length, self.due) = (most, Some(until));
        }
        ours
    }

    /// It was applied behind the first one of its key, in the run of that one. Returns false, and changes nothing, when it does
    /// not wait as it did when this token was read.
    pub fn resolve_behind(&mut self, token: i64) -> bool {
        let waits = self.state == FailedMessageState::Blocked && self.token == token;
        if waits {
            self.state = FailedMessageState::Resolved;
            self.attempts += 1;
        }
        waits
    }

    /// The message before it in its key was resolved, of which so many were to run one at a time.
    pub fn inherit(&mut self, alone: u32) {
        self.alone = self.alone.max(alone.saturating_sub(1));
    }

    /// Returns whether the lease of this token is the last one given, and not answered yet.
    pub fn is_leased_as(&self, token: i64) -> bool {
        self.may_run() && self.running && self.token == token
    }

    /// The run of this lease was applied. Returns false, and changes nothing, when the lease is no longer this one.
    pub fn resolve(&mut self, token: i64) -> bool {
        self.answer(token, FailedMessageState::Resolved, None)
    }

    /// The run of this lease failed: it runs `again` or is dead, and dead at once where a person had asked for the run.
    /// Returns false, and changes nothing, when the lease is no longer this one.
    pub fn fail(&mut self, token: i64, again: Option<Timestamp>) -> bool {
        match again.filter(|_| self.state != FailedMessageState::RetryRequested) {
            Some(due) => self.answer(token, FailedMessageState::RetryScheduled, Some(due)),
            None => self.answer(token, FailedMessageState::Dead, None),
        }
    }

    /// The run of this lease did not count: it is due again at `due`. Returns false, and changes nothing, when the lease is
    /// no longer this one.
    pub fn hand_back(&mut self, token: i64, due: Timestamp) -> bool {
        let handed_back = self.answer(token, self.state, Some(due));
        self.attempts -= u32::from(handed_back);
        handed_back
    }

    /// A person acts. Returns the new state: a parked failed message that has not run waits when it is brought back, and whoever
    /// knows that nothing is before it [promotes](Self::promote) it.
    ///
    /// # Errors
    /// The state in which the act does nothing; nothing has changed then.
    pub fn act(&mut self, act: Action, now: Timestamp) -> Result<FailedMessageState, FailedMessageState> {
        let acted = act.of(self.state).ok_or(self.state)?;
        let runs_again = act == Action::Undo && self.parked && self.attempts == 0;
        let state = if runs_again { FailedMessageState::Blocked } else { acted };
        if act == Action::Retry {
            (self.attempts, self.crash_count) = (0, 0);
        }
        self.due = (act == Action::Retry).then_some(now);
        (self.state, self.running) = (state, false);
        self.token += 1;
        Ok(state)
    }

    /// Returns what a claim of the failed message's message answers while it stands so.
    pub fn marker(&self) -> Claim {
        match self.state {
            FailedMessageState::Resolved => Claim::Done,
            FailedMessageState::Discarded => Claim::Discarded,
            FailedMessageState::RetryScheduled
            | FailedMessageState::Blocked
            | FailedMessageState::Dead
            | FailedMessageState::RetryRequested => Claim::Held,
        }
    }

    fn may_run(&self) -> bool {
        matches!(self.state, FailedMessageState::RetryScheduled | FailedMessageState::RetryRequested)
    }

    fn answer(&mut self, token: i64, state: FailedMessageState, due: Option<Timestamp>) -> bool {
        let ours = self.is_leased_as(token);
        if ours {
            (self.state, self.due, self.running) = (state, due, false);
        }
        ours
    }
}
