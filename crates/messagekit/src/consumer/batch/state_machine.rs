//! Decides the next step of a lane: pure, without a clock, a store or a task. `run.rs` executes the steps.
//!
//! A [`StateMachine`] takes the whole state of a lane, decides the steps for a batch, receives the result of each step, and
//! returns the state. Messages are numbers here, counted from the front of the batch. Finished messages are always a prefix, so
//! the others keep their order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::bisection::Bisection;
use super::report::Report;
use super::steps::{AllowedHandlers, AttemptSubject, Plan, Step, StepResult};
use crate::consumer::ConsumerStats;
use crate::consumer::fault::Fault;
use crate::consumer::lane::{Judgement, LaneState, Mode, Pause, RunEnd, poison_message};
use crate::consumer::settings::Rules;
use crate::store::{Failure, FailureKind, Next};

/// A batch run of a lane.
#[derive(Debug)]
pub(super) struct StateMachine {
    rules: Rules,
    lane: LaneState,
    bisection: Bisection,
    /// Marks the messages that have a handler.
    handled: Vec<bool>,
    failed: BTreeMap<usize, Failure>,
    plan: Option<Plan>,
    /// The in-flight attempt that exists, or may exist.
    attempt: Option<AttemptSubject>,
    /// The next message with a handler is presumed fresh: it needs an attempt.
    is_fresh: bool,
    /// The message with too many crashes.
    poison: Option<usize>,
    /// The message during whose handler the lock timed out.
    slow: Option<usize>,
    started: Instant,
    done: ConsumerStats,
    end: RunEnd,
    /// The kinds of the failed runs behind the last handled message, in order.
    failed_runs: Vec<FailureKind>,
    due_in: Vec<Duration>,
}

impl StateMachine {
    /// `handled` states for each message whether it has a handler.
    pub(super) fn new(rules: Rules, lane: LaneState, handled: Vec<bool>, now: Instant) -> Self {
        Self {
            rules,
            lane,
            bisection: Bisection::new(handled.len()),
            handled,
            failed: BTreeMap::new(),
            plan: None,
            attempt: None,
            is_fresh: false,
            poison: None,
            slow: None,
            started: now,
            done: ConsumerStats::default(),
            end: RunEnd::Continue,
            failed_runs: Vec::new(),
            due_in: Vec::new(),
        }
    }

    /// Returns the failures that the next transaction stores instead of running their messages.
    pub(super) fn failed(&self) -> &BTreeMap<usize, Failure> {
        &self.failed
    }

    /// Returns the run number of the first message; the others run for the first time.
    pub(super) fn first_attempt(&self) -> u32 {
        self.lane.failed_runs + 1
    }

    pub(super) fn is_handled(&self, index: usize) -> bool {
        self.handled[index]
    }

    /// Returns whether the lane waits for its first message, which is tried again.
    pub(super) fn head_waits(&self) -> bool {
        self.finished() == 0 && (self.lane.failed_runs > 0 || self.lane.unavailable.is_some())
    }

    /// Returns the number of finished messages from the front.
    pub(super) fn finished(&self) -> usize {
        self.bisection.finished()
    }

    /// Ends the run between transactions.
    pub(super) fn stop(&mut self) {
        self.bisection.stop_before(self.bisection.finished());
    }

    /// Decides the next step.
    pub(super) fn next(&mut self, now: Instant) -> Step {
        if self.lane.guard.is_over() {
            return Step::Clear;
        }
        let Some(range) = self.bisection.range() else {
            return self.attempt.map_or(Step::Stop, Step::Withdraw);
        };
        match self.lane.guard.mode() {
            Mode::Batch if self.attempt.is_none() && self.handled.contains(&true) => {
                self.begin(AttemptSubject::Batch)
            }
            Mode::OneByOne => self.next_by_itself(now, range),
            Mode::Batch | Mode::Off => {
                let range = self.lane.fits.shortened(range);
                self.run_transaction(Plan { range, handlers: AllowedHandlers::All, clears: None })
            }
        }
    }

    /// One message at a time: skips finished ones, records an attempt of the first fresh one, and runs it.
    fn next_by_itself(&mut self, now: Instant, range: Range<usize>) -> Step {
        let attempted = match self.attempt {
            Some(AttemptSubject::Message(index)) => Some(index),
            _ => None,
        };
        let Some(next) = range.clone().find(|index| self.is_fresh && self.handled[*index]) else {
            return self.run_transaction(Plan {
                range,
                handlers: AllowedHandlers::Nothing,
                clears: attempted,
            });
        };
        if attempted == Some(next) {
            let range = range.start..next + 1;
            return self.run_transaction(Plan {
                range,
                handlers: AllowedHandlers::Only(next),
                clears: attempted,
            });
        }
        // No other lane runs meanwhile, so give them their turn.
        if self.done.batches > 0 && now.duration_since(self.started) >= self.rules.batch.time {
            self.stop();
            return self.next(now);
        }
        self.begin(AttemptSubject::Message(next))
    }

    fn begin(&mut self, attempt: AttemptSubject) -> Step {
        // Recorded before the answer: if the answer is lost, the attempt may exist.
        self.attempt = Some(attempt);
        Step::Begin(attempt)
    }

    fn run_transaction(&mut self, plan: Plan) -> Step {
        self.plan = Some(plan.clone());
        Step::RunTransaction(plan)
    }

    /// Takes the result of the last step.
    pub(super) fn take_result(&mut self, now: Instant, result: StepResult) {
        match result {
            StepResult::Begun { others } => self.begun(now, others),
            StepResult::Committed { through, done, took } => self.committed(through, &done, took),
            StepResult::Failed { index, fault } => self.take_fault(now, index, fault),
            StepResult::Full { index, failure } => {
                let is_first = index > 0 || self.lane.full == 0;
                self.pause_before(index, Pause::Full { index, failure, is_first });
            }
            StepResult::Withdrawn(is_withdrawn) => {
                if self.attempt == Some(AttemptSubject::Batch) && is_withdrawn {
                    self.lane.guard.finished(finished(&self.done));
                }
                self.attempt = None;
            }
            StepResult::Cleared => self.lane.guard.cleared(),
            StepResult::LaneStops(end) => {
                self.end = end;
                self.stop();
            }
        }
    }

    fn begun(&mut self, now: Instant, others: u32) {
        match self.attempt {
            Some(AttemptSubject::Batch) if others > 0 => {
                self.lane.guard.crash_found();
                self.pause(Pause::CrashFound);
            }
            Some(AttemptSubject::Message(index)) => {
                match self.lane.guard.judge(others, now, self.rules.longest_run()) {
                    Judgement::MayRun => {}
                    Judgement::Wait { wait, given } => self.pause(Pause::Watch { index, wait, given }),
                    Judgement::Dead => {
                        self.poison = Some(index);
                        self.set_aside(index, poison_message(others));
                    }
                }
            }
            Some(AttemptSubject::Batch) | None => {}
        }
    }

    fn committed(&mut self, through: usize, done: &ConsumerStats, took: Duration) {
        let Some(Plan { range, handlers, .. }) = self.plan.take() else { return };
        self.bisection.committed(through);
        let later = self.failed.split_off(&through);
        if done.handled > 0 {
            self.failed_runs.clear();
        }
        self.failed_runs.extend(self.failed.values().map(|failure| failure.kind));
        self.failed = later;
        self.done.add(done);
        let lane = &mut self.lane;
        if through > range.start {
            lane.finished_something();
        }
        if handlers == AllowedHandlers::All {
            lane.fits.learn(&range, through, took, self.rules.batch.time);
            return;
        }
        self.is_fresh = through < range.end || done.handled > 0;
        lane.guard.finished(finished(done));
        if let Some(AttemptSubject::Message(index)) = self.attempt
            && index < through
        {
            self.attempt = None;
            if self.poison == Some(index) {
                lane.guard.all_finished();
            }
        }
    }

    fn take_fault(&mut self, now: Instant, index: usize, fault: Fault) {
        match fault {
            Fault::Message(failure) => self.message_failed(index, failure),
            // A pause of the machine costs no message an attempt: only a message that is also slow by itself is the culprit.
            Fault::TransactionTimeout(_) if self.slow != Some(index) => {
                self.slow = Some(index);
                self.bisection.alone(index);
            }
            Fault::Blame(_) if self.bisection.halve() => {}
            Fault::TransactionTimeout(failure) | Fault::Blame(failure) => self.message_failed(index, failure),
            Fault::Unavailable(error) => self.unavailable(now, index, error),
            Fault::Outage(error) => self.pause(Pause::Outage(error)),
            Fault::Conflict(error) => self.pause(Pause::Conflict(error)),
            Fault::CutOff => self.pause(Pause::Conflict("handler was cut off by a stop".to_owned())),
        }
    }

    /// Decides on a message that has failed.
    fn message_failed(&mut self, index: usize, failure: Failure) {
        let attempt = if index == 0 { self.first_attempt() } else { 1 };
        let failure = self.rules.decide(failure, attempt);
        if self.rules.is_tried_in_place(&failure) {
            self.pause_before(index, Pause::Blocked(failure));
        } else {
            self.set_aside(index, failure);
        }
    }

    /// The first message waits, and is parked when it has waited for too long. Messages before another one do not wait with it.
    fn unavailable(&mut self, now: Instant, index: usize, error: String) {
        let since = self.lane.unavailable.filter(|_| index == 0);
        let is_over = since.is_some_and(|since| now.duration_since(since) >= self.rules.unavailable_limit);
        if !is_over || !self.rules.parks() {
            if index == 0 {
                self.lane.unavailable.get_or_insert(now);
            }
            self.pause_before(index, Pause::Unavailable(error));
        } else if self.bisection.range().is_some_and(|range| range.len() > 1) {
            // Any of several messages in one call may be the culprit, and only the first one has waited.
            self.bisection.alone(0);
        } else {
            let failure = self.rules.unavailable(error, self.lane.failed_runs);
            self.set_aside(0, failure);
        }
    }

    /// The next transaction parks the message and ends with it.
    fn set_aside(&mut self, index: usize, failure: Failure) {
        if let Next::Retry(delay) = failure.next {
            self.due_in.push(delay);
        }
        self.failed.insert(index, failure);
        self.handled[index] = false;
        self.bisection.ends_with(index);
    }

    fn pause(&mut self, pause: Pause) {
        self.pause_before(self.bisection.finished(), pause);
    }

    fn pause_before(&mut self, index: usize, pause: Pause) {
        self.end = RunEnd::Pause(pause);
        self.bisection.stop_before(index);
    }

    /// Ends the run, after [`Step::Stop`].
    pub(super) fn report(mut self) -> Report {
        let wait = self.lane.end_run(&self.rules, &self.end);
        self.failed_runs.extend(self.end.failed_run());
        Report {
            lane: self.lane,
            finished: self.bisection.finished(),
            failed: self.failed,
            end: self.end,
            wait,
            done: self.done,
            failed_runs: self.failed_runs,
            due_in: self.due_in,
        }
    }
}

/// Duplicates and ignored messages do not count: they come again after a crash, and uncommitted messages are behind them.
fn finished(done: &ConsumerStats) -> u32 {
    let finished = done.handled + done.set_aside + done.dead + done.parked;
    u32::try_from(finished).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "state_machine_tests.rs"]
mod tests;
