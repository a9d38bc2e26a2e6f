//! A batch run of a lane: gets the next step from the state machine, executes it, and returns the result to the machine.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::Span;

use super::calls::{CallsOutcome, make_calls};
use super::messages::Batch;
use super::report::Report;
use super::state_machine::StateMachine;
use super::steps::{AttemptSubject, Plan, Step, StepResult};
use super::transaction::{TransactionOutcome, run_transaction};
use crate::consumer::failure_log::log_failure;
use crate::consumer::fault::{Fault, store_fault};
use crate::consumer::lane::{
    CallState, LaneState, Pause, PreparedMessage, QueuedMessage, RunEnd, begin_attempt, clear_batch,
    withdraw, withdraw_batch,
};
use crate::consumer::settings::Settings;
use crate::consumer::{ConsumerStats, OnFailure};
use crate::gate::{Outcome, Starts};
use crate::handler::Task;
use crate::store::{Failure, FailureKind, Inbox, ParkingLimits, Store, TransactionSpans};
use crate::transport::Receipt;
use crate::{Error, ErrorKind, MessageId, crash};

/// The result of a batch run.
pub(in crate::consumer) struct BatchOutcome<S: Store> {
    /// The state of the lane for the next run.
    pub(in crate::consumer) state: LaneState,
    /// Receipts of finished messages, in order.
    pub(in crate::consumer) finished: Vec<Receipt>,
    /// Unfinished messages, in order.
    pub(in crate::consumer) unfinished: Vec<QueuedMessage<S>>,
    pub(in crate::consumer) end: RunEnd,
    /// How long the lane waits.
    pub(in crate::consumer) wait: Option<Duration>,
    /// The report to the gates.
    pub(in crate::consumer) for_gates: Outcome,
    /// What was committed.
    pub(in crate::consumer) done: ConsumerStats,
    /// The failure of the first message that was set aside.
    pub(in crate::consumer) failure: Option<Failure>,
    /// Times until the retries of this run are due.
    pub(in crate::consumer) due_in: Vec<Duration>,
    /// The span of the run.
    pub(in crate::consumer) span: Span,
}

struct BatchRun<S: Store> {
    settings: Arc<Settings<S>>,
    messages: Arc<Vec<Arc<PreparedMessage<S>>>>,
    /// The id of the lane's batch attempts.
    lane: MessageId,
    stop: Arc<AtomicBool>,
    starts: Starts,
    /// How many calls found their service unavailable beside the one for which the lane waits.
    unavailable_beside: AtomicUsize,
    failure: OnceLock<Failure>,
}

/// Handles the `queued` messages. It stops between transactions when `stop` is set, and counts the handlers that it starts in `starts`.
pub(in crate::consumer) async fn run_batch<S: Inbox>(
    settings: Arc<Settings<S>>,
    queued: Vec<QueuedMessage<S>>,
    (lane, state): (MessageId, LaneState),
    stop: Arc<AtomicBool>,
    starts: Starts,
) -> BatchOutcome<S> {
    // Check the age now and not on arrival: a lane may wait for days, and a cleanup removes markers meanwhile.
    let now = Timestamp::now();
    let (receipts, messages): (Vec<Receipt>, Vec<_>) =
        queued.into_iter().map(|one| (one.receipt, check_age(&settings, one.prepared, now))).unzip();
    let handled = messages.iter().map(|prepared| prepared.is_handled()).collect();
    let mut machine = StateMachine::new(settings.rules, state, handled, Instant::now());
    let run = BatchRun {
        settings,
        messages: Arc::new(messages),
        lane,
        stop,
        starts,
        unavailable_beside: AtomicUsize::new(0),
        failure: OnceLock::new(),
    };
    loop {
        if run.stop.load(Ordering::Relaxed) {
            machine.stop();
        }
        let result = match machine.next(Instant::now()) {
            Step::Begin(of) => run.begin(of, &machine).await,
            Step::RunTransaction(plan) => run.run_transaction(plan, &machine).await,
            Step::Withdraw(of) => run.withdraw(of).await,
            Step::Clear => {
                clear_batch(&run.settings, &run.lane).await;
                StepResult::Cleared
            }
            Step::Stop => return run.into_outcome(receipts, machine.report()),
        };
        machine.take_result(Instant::now(), result);
    }
}

impl<S: Inbox> BatchRun<S> {
    fn id_of(&self, attempt: AttemptSubject) -> &MessageId {
        match attempt {
            AttemptSubject::Batch => &self.lane,
            AttemptSubject::Message(index) => &self.messages[index].received.id,
        }
    }

    /// A message without a recorded attempt does not run.
    async fn begin(&self, of: AttemptSubject, machine: &StateMachine) -> StepResult {
        match begin_attempt(&self.settings, self.id_of(of)).await {
            Ok(others) => StepResult::Begun { others },
            Err(error) => self.store_failed(error, machine.finished(), None),
        }
    }

    async fn withdraw(&self, of: AttemptSubject) -> StepResult {
        let id = self.id_of(of);
        match of {
            AttemptSubject::Batch => StepResult::Withdrawn(withdraw_batch(&self.settings, id).await),
            AttemptSubject::Message(_) => {
                withdraw(&self.settings, id, &self.stop).await;
                StepResult::Withdrawn(true)
            }
        }
    }

    async fn run_transaction(&self, mut plan: Plan, machine: &StateMachine) -> StepResult {
        let settings = &self.settings;
        let set_aside = |(index, failure): (&usize, &Failure)| (*index, Task::SetAside(failure.clone()));
        let batch = Arc::new(Batch {
            messages: Arc::clone(&self.messages),
            culprits: machine.failed().iter().map(set_aside).collect(),
            first_attempt: machine.first_attempt(),
            running: AtomicUsize::new(0),
            starts: self.starts.clone(),
            spans: TransactionSpans::new(),
        });
        match make_calls(settings, &batch, &plan, machine.head_waits(), &self.stop).await {
            CallsOutcome::Ready(range) => plan.range = range,
            CallsOutcome::Failed { index, fault, unavailable } => {
                self.unavailable_beside.store(unavailable, Ordering::Relaxed);
                return StepResult::Failed { index, fault };
            }
            CallsOutcome::Store(error) => return self.store_failed(error, plan.range.start, None),
        }
        let range = plan.range.clone();
        let outcome = run_transaction(settings, &batch, plan).await;
        if !matches!(outcome, TransactionOutcome::Committed { .. }) {
            settings.stats.add(&ConsumerStats { rolled_back: 1, ..ConsumerStats::default() });
            Span::current().record("otel.status_code", "error");
        }
        match outcome {
            TransactionOutcome::Committed { through, stats, failures, mut outcomes, took } => {
                if stats.set_aside + stats.dead + stats.parked > 0 {
                    batch.ask_again();
                }
                if through > range.start {
                    crash::point("consumer.committed");
                }
                self.record_committed(&batch, range.start..through, &stats, &failures);
                outcomes.sort_by_key(|(index, _)| *index);
                for (index, outcome) in &outcomes {
                    settings.observers.see(&settings.name, batch.received(*index), outcome);
                }
                settings.stats.add(&stats);
                StepResult::Committed { through, done: stats, took }
            }
            TransactionOutcome::Full { index, failure } => StepResult::Full { index, failure },
            TransactionOutcome::Failed { index, fault } => {
                if let Fault::Message(_) = fault {
                    // The next run of the message begins anew with its call.
                    batch.messages[index].call.set(CallState::Unknown);
                    batch.ask_again();
                }
                StepResult::Failed { index, fault }
            }
            TransactionOutcome::Store { error, handlers_ran } => {
                // Only a handler can be blamed: without one, the store itself has failed.
                let has_handler = range.clone().any(|index| machine.is_handled(index));
                let blamed = (handlers_ran && has_handler).then(|| batch.running.load(Ordering::Relaxed));
                self.store_failed(error, range.start, blamed)
            }
        }
    }

    /// Logs and counts what a committed transaction has set aside, and the messages without a handler.
    fn record_committed(
        &self,
        batch: &Batch<S>,
        committed: Range<usize>,
        stats: &ConsumerStats,
        failures: &[(usize, Failure)],
    ) {
        let settings = &self.settings;
        if !failures.is_empty() {
            crash::point("set_aside.committed");
        }
        for (index, failure) in failures {
            log_failure(&settings.name, batch.received(*index), failure);
            settings.stats.failed(failure.kind);
            self.failure.get_or_init(|| failure.clone());
        }
        if stats.ignored > 0 {
            settings.unhandled_types.count(batch.unhandled_types(committed));
        }
    }

    /// Maps an error of the store to the result of a step. `blamed` is the message whose handler started last.
    fn store_failed(&self, error: Error, start: usize, blamed: Option<usize>) -> StepResult {
        if error.kind() == ErrorKind::Fenced {
            return StepResult::LaneStops(RunEnd::Fenced);
        }
        let (index, fault) = match (store_fault(&error), blamed) {
            (Some(Fault::TransactionTimeout(failure)), None) => (start, Fault::Conflict(failure.error)),
            (Some(fault @ Fault::TransactionTimeout(_)), Some(running)) => (running, fault),
            (None, _) | (Some(Fault::Blame(_)), None) => return StepResult::LaneStops(RunEnd::Fatal(error)),
            (Some(fault), _) => (start, fault),
        };
        StepResult::Failed { index, fault }
    }

    fn into_outcome(self, mut receipts: Vec<Receipt>, report: Report) -> BatchOutcome<S> {
        let Report { lane: state, finished, failed, end, wait, done, mut failed_runs, due_in } = report;
        if let (RunEnd::Pause(pause), wait) = (&end, wait.unwrap_or_default()) {
            self.log_pause(pause, wait);
        }
        let unfinished = receipts.split_off(finished).into_iter().zip(finished..);
        let unfinished = unfinished
            .map(|(receipt, index)| QueuedMessage { receipt, prepared: self.for_next_run(index, &failed) });
        let unfinished = unfinished.collect();
        let used = self.starts.count();
        if let RunEnd::Pause(Pause::Unavailable(_)) = &end {
            let beside = self.unavailable_beside.load(Ordering::Relaxed);
            failed_runs.extend(std::iter::repeat_n(FailureKind::Unavailable, beside));
        }
        // Results of earlier calls say nothing of the service.
        let for_gates = Outcome { used, handled: done.handled > 0 && used > 0, failed: failed_runs };
        let span = Span::current();
        let failure = self.failure.into_inner();
        BatchOutcome {
            state,
            finished: receipts,
            unfinished,
            end,
            wait,
            for_gates,
            done,
            failure,
            due_in,
            span,
        }
    }

    /// Returns a message for the next run. Without retries, a message whose attempts are used up and that waits for its
    /// dead-letter publication does not run again.
    fn for_next_run(&self, index: usize, failed: &BTreeMap<usize, Failure>) -> Arc<PreparedMessage<S>> {
        let (prepared, rules) = (&self.messages[index], &self.settings.rules);
        prepared.call.forget_unless_made();
        match failed.get(&index) {
            // Its task is to set it aside, because the policy does not block.
            Some(failure) if !rules.runs_again && rules.on_failure != OnFailure::Block => {
                prepared.failed_with(&self.settings, failure.clone())
            }
            _ => Arc::clone(prepared),
        }
    }

    fn log_pause(&self, pause: &Pause, wait: Duration) {
        let (consumer, rules, lane) = (&*self.settings.name, &self.settings.rules, &self.lane);
        match pause {
            Pause::Outage(error) => tracing::warn!(consumer, error, ?wait, "lane paused by an outage"),
            Pause::Unavailable(error) => {
                tracing::warn!(consumer, error, ?wait, "lane paused: a dependency is unavailable");
            }
            Pause::Conflict(error) => tracing::debug!(consumer, error, "batch halved by a conflict"),
            Pause::CrashFound => tracing::warn!(
                consumer, %lane, at_most = %rules.batch.messages,
                "a process may have ended in the first batch of this lane: its messages run one by one now"
            ),
            Pause::Watch { index, given, .. } if given.is_zero() => tracing::warn!(
                consumer, message_id = %self.messages[*index].received.id, at_most = ?rules.longest_run(),
                "this message may have ended its process each of the last times: its lane waits for other members"
            ),
            Pause::Watch { .. } => {}
            Pause::Blocked(failure) => {
                let Failure { kind, error, attempts: attempt, .. } = failure;
                if rules.on_failure == OnFailure::Block {
                    tracing::error!(
                        consumer, attempt, %kind, error, ?wait,
                        "lane blocked by a message that cannot be applied"
                    );
                } else {
                    tracing::warn!(consumer, attempt, %kind, error, ?wait, "message is tried again in place");
                }
            }
            Pause::Full { index, is_first, .. } => {
                let message_id = &self.messages[*index].received.id;
                let ParkingLimits { per_key, in_all } = self.settings.limits;
                if *is_first {
                    tracing::error!(
                        consumer, %message_id, per_key, in_all, ?wait,
                        "lane blocked: there is no room to park its first message"
                    );
                } else {
                    tracing::debug!(consumer, %message_id, ?wait, "lane still blocked: there is no room to park");
                }
            }
        }
    }
}

/// Replaces the task of a message that is older than the dedup window: its handler does not run.
fn check_age<S: Inbox>(
    settings: &Settings<S>,
    prepared: Arc<PreparedMessage<S>>,
    now: Timestamp,
) -> Arc<PreparedMessage<S>> {
    match settings.window.outside(&prepared.received.message, now).filter(|_| prepared.is_handled()) {
        Some(failure) => prepared.failed_with(settings, failure),
        None => prepared,
    }
}
