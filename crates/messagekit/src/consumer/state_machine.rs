//! Decides what a lane does next: pure, without a clock, a store or a task. `batch_run.rs` obeys.
//!
//! A [`StateMachine`] takes the state of a lane whole, says step by step what is to be done with a batch, learns what each step
//! answered, and gives the state back whole. Messages are numbers here, counted from the front of the batch. What is finished is
//! always a prefix, so what is left keeps its order.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use tokio::time::Instant;

use super::adaptive_batch::AdaptiveBatch;
use super::bisection::Bisection;
use super::crash_guard::{CrashGuard, Judgement, Mode, poison_message};
use super::fault::Fault;
use super::settings::Rules;
use super::{Backoff, ConsumerStats, OnFailure};
use crate::Error;
use crate::gate::Verdict;
use crate::store::{Failure, Next};

/// What a lane remembers from one batch run to the next.
#[derive(Clone, Copy, Debug)]
pub(super) struct LaneState {
    pub(super) guard: CrashGuard,
    /// How many messages fit into the time of a transaction.
    pub(super) fits: AdaptiveBatch,
    /// How many messages the next batch may hold: halved by lock conflicts, doubled by success.
    limit: u32,
    /// Outages in a row.
    outages: u32,
    /// Since when the first message says that a dependency is unavailable.
    unavailable: Option<Instant>,
    /// Failed runs of the first message, which is tried in place.
    failed_runs: u32,
    /// How often in a row there was no room to park the first message.
    full: u32,
}

impl LaneState {
    pub(super) fn new(lane: &str, limit: u32) -> Self {
        let (guard, fits) = (CrashGuard::new(lane, limit), AdaptiveBatch::default());
        Self { guard, fits, limit, outages: 0, unavailable: None, failed_runs: 0, full: 0 }
    }

    /// Returns how many messages the next batch may hold.
    pub(super) fn limit(&self) -> u32 {
        // While there is no room for the first one, handlers of others would run in vain.
        let limit = if self.full > 0 { 1 } else { self.limit };
        limit.min(u32::try_from(self.fits.most()).unwrap_or(u32::MAX))
    }

    /// Returns whether the lane waits for one message.
    pub(super) fn is_blocked(&self, policy: OnFailure) -> bool {
        self.full > 0 || self.unavailable.is_some() || self.failed_runs > 0 && policy == OnFailure::Block
    }
}

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Record an in-flight attempt. Answered by [`Answer::Begun`].
    Begin(Attempt),
    /// Claim and run messages in one transaction.
    Run(Plan),
    /// Withdraw the in-flight attempt.
    Withdraw(Attempt),
    /// Clear the attempts of the lane's batches.
    Clear,
    /// Stop: the batch run is over.
    Stop,
}

/// What an in-flight attempt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Batch,
    Message(usize),
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) range: Range<usize>,
    pub(super) runs: Runs,
    /// The message whose attempts are cleared when the transaction finishes it.
    pub(super) clears: Option<usize>,
}

/// Whose handlers a transaction may run. It ends before the first fresh message whose handler it may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    All,
    Only(usize),
    Nothing,
}

impl Runs {
    pub(super) fn may_run(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == index,
            Self::Nothing => false,
        }
    }
}

/// What a step answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// The attempt stands beside so many of other runs.
    Begun {
        others: u32,
    },
    /// The transaction was committed as far as `through`, after so long inside handlers.
    Committed {
        through: usize,
        done: ConsumerStats,
        took: Duration,
    },
    /// Nothing was kept.
    Failed {
        index: usize,
        fault: Fault,
    },
    /// Nothing was kept: there is no room to park the message, which has failed or stands behind one that has.
    Full {
        index: usize,
        failure: Option<Failure>,
    },
    /// The attempt is withdrawn, or stays.
    Withdrawn(bool),
    Cleared,
    /// The lane cannot go on.
    Ended(After),
}

/// What the lane does after the batch run.
#[derive(Debug)]
pub(super) enum After {
    Continue,
    Pause(Pause),
    /// Another process has the lane's cursor.
    Fenced,
    /// The store answered what no waiting cures.
    Fatal(Error),
}

/// Why a lane waits.
#[derive(Debug)]
pub(super) enum Pause {
    /// The store is away.
    Outage(String),
    /// The first message says that a dependency is unavailable.
    Unavailable(String),
    /// A lock of another transaction.
    Conflict(String),
    /// A process died in a batch of this lane: its messages run one by one.
    CrashFound,
    /// Other members may still run copies of the message.
    Watch { index: usize, wait: Duration, given: Duration },
    /// The first message has failed and is tried in place.
    Blocked(Failure),
    /// There is no room to park the first message: a culprit with its failure, or one behind another, which has not run. Whether
    /// this is the first time in a row.
    Full { index: usize, failure: Option<Failure>, is_first: bool },
}

/// How a batch run ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lane: LaneState,
    /// How many messages from the front are finished.
    pub(super) finished: usize,
    /// Failures that are decided and not kept yet.
    pub(super) failed: BTreeMap<usize, Failure>,
    pub(super) after: After,
    /// How long the lane waits.
    pub(super) wait: Option<Duration>,
    pub(super) verdict: Verdict,
    /// When the retries of this run are due.
    pub(super) due_in: Vec<Duration>,
}

/// A batch run of a lane.
#[derive(Debug)]
pub(super) struct StateMachine {
    rules: Rules,
    lane: LaneState,
    bisection: Bisection,
    /// Which messages go to a handler.
    handled: Vec<bool>,
    failed: BTreeMap<usize, Failure>,
    plan: Option<Plan>,
    /// The in-flight attempt that stands, or may.
    attempt: Option<Attempt>,
    /// The next message with a handler is fresh as far as is known: it needs an attempt.
    is_fresh: bool,
    /// The message that has more crashes than it may have.
    poison: Option<usize>,
    /// The message during whose handler the time of a lock was up.
    slow: Option<usize>,
    started: Instant,
    done: ConsumerStats,
    after: After,
    verdict: Verdict,
    due_in: Vec<Duration>,
}

impl StateMachine {
    /// `handled` says of each message whether it goes to a handler.
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
            after: After::Continue,
            verdict: Verdict::Neutral,
            due_in: Vec::new(),
        }
    }

    /// Returns the failures that the next transaction keeps instead of running their messages.
    pub(super) fn failed(&self) -> &BTreeMap<usize, Failure> {
        &self.failed
    }

    /// Returns which run of the first message this is; the others run for the first time.
    pub(super) fn first_attempt(&self) -> u32 {
        self.lane.failed_runs + 1
    }

    pub(super) fn is_handled(&self, index: usize) -> bool {
        self.handled[index]
    }

    /// Returns how many messages from the front are finished.
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
                self.begin(Attempt::Batch)
            }
            Mode::OneByOne => self.next_by_itself(now, range),
            Mode::Batch | Mode::Off => {
                let range = self.lane.fits.shortened(range);
                self.run(Plan { range, runs: Runs::All, clears: None })
            }
        }
    }

    /// One message at a time: passes over finished ones, records an attempt of the first fresh one, runs it.
    fn next_by_itself(&mut self, now: Instant, range: Range<usize>) -> Step {
        let attempted = match self.attempt {
            Some(Attempt::Message(index)) => Some(index),
            _ => None,
        };
        let Some(next) = range.clone().find(|index| self.is_fresh && self.handled[*index]) else {
            return self.run(Plan { range, runs: Runs::Nothing, clears: attempted });
        };
        if attempted == Some(next) {
            let range = range.start..next + 1;
            return self.run(Plan { range, runs: Runs::Only(next), clears: attempted });
        }
        // Nothing else runs meanwhile: it is the turn of other lanes.
        if self.done.batches > 0 && now.duration_since(self.started) >= self.rules.batch.time {
            self.stop();
            return self.next(now);
        }
        self.begin(Attempt::Message(next))
    }

    fn begin(&mut self, attempt: Attempt) -> Step {
        // Noted before the answer: when that is lost, the attempt may stand.
        self.attempt = Some(attempt);
        Step::Begin(attempt)
    }

    fn run(&mut self, plan: Plan) -> Step {
        self.plan = Some(plan.clone());
        Step::Run(plan)
    }

    /// Learns what the last step answered.
    pub(super) fn answered(&mut self, now: Instant, answer: Answer) {
        match answer {
            Answer::Begun { others } => self.begun(now, others),
            Answer::Committed { through, done, took } => self.committed(through, &done, took),
            Answer::Failed { index, fault } => self.failed_by(now, index, fault),
            Answer::Full { index, failure } => {
                let is_first = index > 0 || self.lane.full == 0;
                self.pause_before(index, Pause::Full { index, failure, is_first });
            }
            Answer::Withdrawn(is_withdrawn) => {
                if self.attempt == Some(Attempt::Batch) && is_withdrawn {
                    self.lane.guard.finished(finished(&self.done));
                }
                self.attempt = None;
            }
            Answer::Cleared => self.lane.guard.cleared(),
            Answer::Ended(after) => {
                self.after = after;
                self.stop();
            }
        }
    }

    fn begun(&mut self, now: Instant, others: u32) {
        match self.attempt {
            Some(Attempt::Batch) if others > 0 => {
                self.lane.guard.crash_found();
                self.pause(Pause::CrashFound);
            }
            Some(Attempt::Message(index)) => {
                match self.lane.guard.judge(others, now, self.rules.longest_run()) {
                    Judgement::Run => {}
                    Judgement::Wait { wait, given } => self.pause(Pause::Watch { index, wait, given }),
                    Judgement::Dead => {
                        self.poison = Some(index);
                        self.set_aside(index, poison_message(others));
                    }
                }
            }
            Some(Attempt::Batch) | None => {}
        }
    }

    fn committed(&mut self, through: usize, done: &ConsumerStats, took: Duration) {
        let Some(Plan { range, runs, .. }) = self.plan.take() else { return };
        self.bisection.committed(through);
        self.failed = self.failed.split_off(&through);
        self.done.add(done);
        let lane = &mut self.lane;
        if through > range.start {
            // Another message is the first one now.
            (lane.unavailable, lane.failed_runs, lane.full) = (None, 0, 0);
            lane.guard.stop_watching();
        }
        if runs == Runs::All {
            lane.fits.learn(&range, through, took, self.rules.batch.time);
            return;
        }
        self.is_fresh = through < range.end || done.handled > 0;
        lane.guard.finished(finished(done));
        if let Some(Attempt::Message(index)) = self.attempt
            && index < through
        {
            self.attempt = None;
            if self.poison == Some(index) {
                lane.guard.all_finished();
            }
        }
    }

    fn failed_by(&mut self, now: Instant, index: usize, fault: Fault) {
        match fault {
            Fault::Message(failure) => self.message_failed(index, failure),
            // A machine that stood still costs no message an attempt: only one that is slow by itself, too, is to blame.
            Fault::TransactionTimeout(_) if self.slow != Some(index) => {
                self.slow = Some(index);
                self.bisection.alone(index);
            }
            Fault::Blame(_) if self.bisection.halve() => {}
            Fault::TransactionTimeout(failure) | Fault::Blame(failure) => self.message_failed(index, failure),
            Fault::Unavailable(error) => self.unavailable(now, index, error),
            Fault::Outage(error) => self.pause(Pause::Outage(error)),
            Fault::Conflict(error) => self.pause(Pause::Conflict(error)),
        }
    }

    /// Decides what becomes of a message that has failed.
    fn message_failed(&mut self, index: usize, failure: Failure) {
        let attempt = if index == 0 { self.first_attempt() } else { 1 };
        let failure = self.rules.decide(failure, attempt);
        if self.rules.is_tried_in_place(&failure) {
            self.pause_before(index, Pause::Blocked(failure));
        } else {
            self.set_aside(index, failure);
        }
    }

    /// The first message waits, and is parked when it has waited for too long; what stands before another one does not wait with
    /// it.
    fn unavailable(&mut self, now: Instant, index: usize, error: String) {
        self.verdict = Verdict::Failure;
        let since = self.lane.unavailable.filter(|_| index == 0);
        let is_over = since.is_some_and(|since| now.duration_since(since) >= self.rules.unavailable_limit);
        if !is_over || !self.rules.parks() {
            if index == 0 {
                self.lane.unavailable.get_or_insert(now);
            }
            self.pause_before(index, Pause::Unavailable(error));
        } else if self.bisection.range().is_some_and(|range| range.len() > 1) {
            // Of several in one call any may be meant, and only the first one has waited.
            self.bisection.alone(0);
        } else {
            let failure = self.rules.unavailable(error, self.lane.failed_runs);
            self.set_aside(0, failure);
        }
    }

    /// The message is parked by the next transaction, which it ends.
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
        self.after = After::Pause(pause);
        self.bisection.stop_before(index);
    }

    /// Ends the run, after [`Step::Stop`].
    pub(super) fn report(mut self) -> Report {
        let wait = self.rest();
        if self.verdict == Verdict::Neutral && self.done.handled > 0 {
            self.verdict = Verdict::Success;
        }
        Report {
            lane: self.lane,
            finished: self.bisection.finished(),
            failed: self.failed,
            after: self.after,
            wait,
            verdict: self.verdict,
            due_in: self.due_in,
        }
    }

    /// Returns how long the lane waits, and notes what it waits for.
    fn rest(&mut self) -> Option<Duration> {
        let (lane, rules) = (&mut self.lane, &self.rules);
        if !matches!(self.after, After::Pause(Pause::Watch { .. })) {
            lane.guard.stop_watching();
        }
        let pause = match &self.after {
            After::Continue => {
                lane.limit = lane.limit.saturating_mul(2).min(rules.batch.messages.get());
                (lane.outages, lane.full) = (0, 0);
                return None;
            }
            After::Pause(pause) => pause,
            After::Fenced | After::Fatal(_) => return None,
        };
        Some(match pause {
            Pause::CrashFound => return None,
            Pause::Outage(_) | Pause::Unavailable(_) => {
                lane.outages += 1;
                Backoff::OUTAGE.delay(lane.outages)
            }
            Pause::Conflict(_) => {
                lane.limit = (lane.limit / 2).max(1);
                Backoff::after_conflict()
            }
            Pause::Watch { wait, .. } => *wait,
            Pause::Blocked(failure) => {
                lane.failed_runs = failure.attempts;
                rules.backoff.delay(lane.failed_runs)
            }
            Pause::Full { failure, .. } => {
                lane.full += 1;
                // Only a culprit has run. One behind others costs no handler, and has room as soon as its key is drained.
                let backoff = match failure {
                    Some(failure) => {
                        lane.failed_runs = failure.attempts;
                        rules.backoff
                    }
                    None => Backoff::ROOM,
                };
                backoff.delay(lane.full)
            }
        })
    }
}

/// Duplicates do not count: what was not committed stands behind them.
fn finished(done: &ConsumerStats) -> u32 {
    let finished = done.handled + done.set_aside + done.dead + done.parked + done.ignored;
    u32::try_from(finished).unwrap_or(u32::MAX)
}

#[cfg(test)]
#[path = "state_machine_tests.rs"]
mod tests;
