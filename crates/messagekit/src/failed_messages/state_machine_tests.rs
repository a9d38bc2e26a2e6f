//! Compares the rules of a failed message with a naive model.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::{Action, FailedMessageState, StateMachine};
use crate::store::Claim;

/// Naive model of a failed message: its current state, and the one lease that may still report a result.
#[derive(Clone, Debug)]
struct Story {
    now: Now,
    failed_runs: u32,
    deaths: u32,
    /// The last lease granted, until it has a result or an operator acts.
    open: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Now {
    /// A run is planned; `requested` if an operator requested it.
    Waits {
        at: i64,
        requested: bool,
    },
    Runs {
        until: i64,
        requested: bool,
    },
    Dead,
    Applied,
    GivenUp,
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(i64),
    Lease(i64),
    Resolve(prop::sample::Index),
    Fail(prop::sample::Index, Option<i64>),
    HandBack(prop::sample::Index, i64),
    Action(Action),
}

impl Story {
    fn lease(&mut self, clock: i64, number: usize, lease: i64) -> bool {
        let requested = match self.now {
            Now::Waits { at, requested } if at <= clock => requested,
            Now::Runs { until, requested } if until <= clock => {
                self.deaths += 1;
                requested
            }
            _ => return false,
        };
        self.failed_runs += 1;
        self.now = Now::Runs { until: clock + lease, requested };
        self.open = Some(number);
        true
    }

    /// Returns whether an operator requested the run, if this lease may report a result.
    fn answers(&mut self, number: usize) -> Option<bool> {
        match self.now {
            Now::Runs { requested, .. } if self.open == Some(number) => {
                self.open = None;
                Some(requested)
            }
            _ => None,
        }
    }

    fn act(&mut self, act: Action, clock: i64) -> bool {
        let is_open = !matches!(self.now, Now::Applied | Now::GivenUp);
        match (act, self.now) {
            (Action::Retry, Now::Dead) => {
                (self.failed_runs, self.deaths) = (0, 0);
                self.now = Now::Waits { at: clock, requested: true };
            }
            (Action::Retry, Now::Waits { at, requested }) if at > clock => {
                self.now = Now::Waits { at: clock, requested };
            }
            (Action::Discard, _) if is_open => self.now = Now::GivenUp,
            (Action::Undo, Now::GivenUp) => self.now = Now::Dead,
            _ => return false,
        }
        self.open = None;
        true
    }

    fn state(&self) -> (FailedMessageState, Claim) {
        match self.now {
            Now::Waits { requested: false, .. } | Now::Runs { requested: false, .. } => {
                (FailedMessageState::RetryScheduled, Claim::Held)
            }
            Now::Waits { requested: true, .. } | Now::Runs { requested: true, .. } => {
                (FailedMessageState::RetryRequested, Claim::Held)
            }
            Now::Dead => (FailedMessageState::Dead, Claim::Held),
            Now::Applied => (FailedMessageState::Resolved, Claim::Done),
            Now::GivenUp => (FailedMessageState::Discarded, Claim::Discarded),
        }
    }

    fn due(&self) -> Option<i64> {
        match self.now {
            Now::Waits { at, .. } => Some(at),
            Now::Runs { until, .. } => Some(until),
            Now::Dead | Now::Applied | Now::GivenUp => None,
        }
    }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_secs(seconds)
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lease = any::<prop::sample::Index>;
    let step = prop_oneof![
        3 => (0_i64..20).prop_map(Step::Pass),
        6 => (0_i64..30).prop_map(Step::Lease),
        1 => lease().prop_map(Step::Resolve),
        3 => (lease(), prop::option::of(0_i64..20)).prop_map(|(lease, again)| Step::Fail(lease, again)),
        2 => (lease(), 0_i64..20).prop_map(|(lease, delay)| Step::HandBack(lease, delay)),
        4 => prop::sample::select(vec![Action::Retry, Action::Retry, Action::Discard, Action::Undo]).prop_map(Step::Action),
    ];
    prop::collection::vec(step, 0..60)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    #[test]
    fn a_failed_message_lives_as_its_story_says(first in prop::option::of(0_i64..20), steps in steps()) {
        let mut clock = 0;
        let mut failed_message = StateMachine::set_aside(1, first.map(at));
        let now = first.map_or(Now::Dead, |at| Now::Waits { at, requested: false });
        let mut story = Story { now, failed_runs: 1, deaths: 0, open: None };
        let mut tokens: Vec<i64> = Vec::new();
        for step in steps {
            let before = failed_message;
            let moved = match step {
                Step::Pass(seconds) => {
                    clock += seconds;
                    continue;
                }
                Step::Lease(lease) => {
                    let token = failed_message.lease(at(clock), at(clock + lease));
                    prop_assert_eq!(token.is_some(), story.lease(clock, tokens.len(), lease));
                    tokens.extend(token);
                    token.is_some()
                }
                Step::Action(act) => {
                    let acted = failed_message.act(act, at(clock));
                    prop_assert_eq!(acted.is_ok(), story.act(act, clock));
                    acted.is_ok()
                }
                Step::Resolve(_) | Step::Fail(..) | Step::HandBack(..) if tokens.is_empty() => continue,
                Step::Resolve(index) => {
                    let number = index.index(tokens.len());
                    let requested = story.answers(number);
                    if requested.is_some() {
                        story.failed_runs -= 1;
                        story.now = Now::Applied;
                    }
                    let resolved = failed_message.resolve(tokens[number]);
                    prop_assert_eq!(resolved, requested.is_some());
                    resolved
                }
                Step::Fail(index, again) => {
                    let number = index.index(tokens.len());
                    let again = again.map(|delay| clock + delay);
                    let requested = story.answers(number);
                    match (requested, again) {
                        (Some(false), Some(at)) => story.now = Now::Waits { at, requested: false },
                        (Some(_), _) => story.now = Now::Dead,
                        (None, _) => {}
                    }
                    let failed = failed_message.fail(tokens[number], again.map(at));
                    prop_assert_eq!(failed, requested.is_some());
                    failed
                }
                Step::HandBack(index, delay) => {
                    let number = index.index(tokens.len());
                    let requested = story.answers(number);
                    if let Some(requested) = requested {
                        story.failed_runs -= 1;
                        story.now = Now::Waits { at: clock + delay, requested };
                    }
                    let handed_back = failed_message.hand_back(tokens[number], at(clock + delay));
                    prop_assert_eq!(handed_back, requested.is_some());
                    handed_back
                }
            };
            prop_assert!(moved || failed_message == before, "what is refused changes nothing");
            prop_assert_eq!((failed_message.state, Claim::from(failed_message.state.marker())), story.state());
            prop_assert_eq!((failed_message.attempts, failed_message.crash_count), (story.failed_runs, story.deaths));
            prop_assert_eq!(failed_message.due, story.due().map(at));
            prop_assert!(tokens.is_sorted_by(|earlier, later| earlier < later), "each lease has a token of its own");
        }
    }
}

#[test]
fn a_discard_during_a_retry_makes_its_lease_void() {
    let mut failed_message = StateMachine::set_aside(1, Some(at(0)));
    let token = failed_message.lease(at(0), at(60)).expect("it is due");
    assert_eq!(failed_message.act(Action::Discard, at(1)), Ok(FailedMessageState::Discarded));
    assert!(
        !failed_message.resolve(token)
            && !failed_message.fail(token, None)
            && !failed_message.hand_back(token, at(1))
    );
    assert_eq!(Claim::from(failed_message.state.marker()), Claim::Discarded);
    assert_eq!(failed_message.act(Action::Undo, at(2)), Ok(FailedMessageState::Dead));
    assert!(!failed_message.resolve(token), "nor does undo bring the old run back");
}

#[test]
fn a_retry_brings_a_planned_run_forward_and_no_more() {
    let mut scheduled = StateMachine::set_aside(3, Some(at(300)));
    let before = scheduled;
    assert_eq!(scheduled.act(Action::Retry, at(10)), Ok(FailedMessageState::RetryScheduled));
    assert_eq!(scheduled, StateMachine { due: Some(at(10)), token: before.token + 1, ..before });
    assert_eq!(scheduled.act(Action::Retry, at(10)), Err(FailedMessageState::RetryScheduled), "it is due");
    let token = scheduled.lease(at(10), at(70)).expect("it is due");
    assert_eq!(scheduled.act(Action::Retry, at(11)), Err(FailedMessageState::RetryScheduled), "it runs");
    assert!(scheduled.fail(token, Some(at(600))), "the refused retry has not fenced the run");
    assert_eq!((scheduled.state, scheduled.attempts), (FailedMessageState::RetryScheduled, 4));
}

#[test]
fn a_retry_leaves_a_lease_alone_until_it_has_ended() {
    let mut requested = StateMachine::set_aside(1, None);
    assert!(requested.act(Action::Retry, at(0)).is_ok());
    requested.lease(at(0), at(60)).expect("it is due");
    for now in [1, 60, 99] {
        assert_eq!(requested.act(Action::Retry, at(now)), Err(FailedMessageState::RetryRequested));
    }
    let token = requested.lease(at(60), at(120)).expect("the lease has ended");
    assert!(requested.hand_back(token, at(500)), "a dependency is unavailable");
    assert_eq!(requested.act(Action::Retry, at(61)), Ok(FailedMessageState::RetryRequested));
    assert_eq!((requested.due, requested.attempts), (Some(at(61)), 1));
}

#[test]
fn what_is_applied_stays_applied() {
    let mut failed_message = StateMachine::set_aside(1, Some(at(0)));
    let token = failed_message.lease(at(0), at(60)).expect("it is due");
    assert!(failed_message.resolve(token));
    for act in [Action::Retry, Action::Discard, Action::Undo] {
        assert_eq!(failed_message.act(act, at(1)), Err(FailedMessageState::Resolved));
    }
    assert_eq!(
        (failed_message.lease(at(99), at(100)), Claim::from(failed_message.state.marker())),
        (None, Claim::Done)
    );
}

#[test]
fn what_waits_for_its_key_runs_only_when_its_turn_has_come() {
    let mut failed_message = StateMachine::waiting(at(0), true);
    assert_eq!(
        (failed_message.state, failed_message.due, Claim::from(failed_message.state.marker())),
        (FailedMessageState::Blocked, None, Claim::Held)
    );
    assert_eq!(failed_message.lease(at(99), at(100)), None);
    assert_eq!(failed_message.act(Action::Retry, at(1)), Err(FailedMessageState::Blocked));
    assert!(failed_message.promote(at(2)) && !failed_message.promote(at(3)));
    assert_eq!(
        (failed_message.state, failed_message.due, failed_message.attempts),
        (FailedMessageState::RetryScheduled, Some(at(2)), 0)
    );
    let token = failed_message.lease(at(2), at(60)).expect("it is due");
    assert!(failed_message.resolve(token));
}

#[test]
fn undo_blocks_only_a_message_that_never_failed_itself() {
    for attempts in 0..3 {
        for behind in [false, true] {
            let mut failed = StateMachine::parked(attempts, Some(at(0)), behind);
            assert_eq!(failed.act(Action::Discard, at(1)), Ok(FailedMessageState::Discarded));
            assert_eq!(failed.act(Action::Undo, at(2)), Ok(FailedMessageState::Dead), "{attempts} {behind}");
            assert_eq!((failed.due, failed.promote(at(3))), (None, false));
        }
    }
    let mut waits = StateMachine::waiting(at(0), true);
    assert_eq!(waits.act(Action::Discard, at(1)), Ok(FailedMessageState::Discarded));
    assert_eq!(waits.act(Action::Undo, at(2)), Ok(FailedMessageState::Blocked));
    assert_eq!((waits.due, waits.promote(at(3))), (None, true));
    let mut alone = StateMachine::set_aside(0, None);
    assert_eq!(alone.act(Action::Discard, at(1)), Ok(FailedMessageState::Discarded));
    assert_eq!(alone.act(Action::Undo, at(2)), Ok(FailedMessageState::Dead), "it has no turn");
}

#[test]
fn a_dead_head_is_dead_after_retry_discard_and_undo() {
    for attempts in 0..3 {
        let mut head = StateMachine::parked(attempts, None, false);
        assert_eq!(head.act(Action::Retry, at(1)), Ok(FailedMessageState::RetryRequested));
        assert_eq!(head.act(Action::Undo, at(2)), Err(FailedMessageState::RetryRequested));
        assert_eq!(head.act(Action::Discard, at(3)), Ok(FailedMessageState::Discarded));
        assert_eq!(head.act(Action::Undo, at(4)), Ok(FailedMessageState::Dead));
        assert_eq!((head.due, head.promote(at(5)), head.lease(at(99), at(100))), (None, false, None));
    }
}

#[test]
fn a_failed_first_run_ends_the_turn_of_a_message() {
    for requested in [false, true] {
        let mut waited = StateMachine::waiting(at(0), false);
        let token = waited.lease(at(0), at(60)).expect("it is due");
        assert!(waited.hand_back(token, at(1)) && !waited.has_failed, "no result is no failure");
        let token = waited.lease(at(1), at(60)).expect("it is due");
        assert!(waited.fail(token, (!requested).then_some(at(2))) && waited.has_failed);
        if requested {
            assert_eq!(waited.act(Action::Retry, at(2)), Ok(FailedMessageState::RetryRequested));
            assert!(waited.has_failed, "a retry does not make it a message that never failed");
        }
        assert_eq!(waited.act(Action::Discard, at(3)), Ok(FailedMessageState::Discarded));
        assert_eq!(waited.act(Action::Undo, at(4)), Ok(FailedMessageState::Dead));
    }
}
