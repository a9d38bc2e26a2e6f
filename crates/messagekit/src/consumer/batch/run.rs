//! A batch run of a lane: gets the next step from the state machine, executes it, and returns the result to the machine.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;
use tracing::Span;

use super::calls::{self, CallsEnded};
use super::messages::Batch;
use super::report::Report;
use super::state_machine::StateMachine;
use super::steps::{Answer, Attempt, Plan, Step};
use super::transaction::{Attempted, attempt};
use crate::consumer::failure_log::log_failure;
use crate::consumer::fault::{Fault, store_fault};
use crate::consumer::lane::{
    After, CallState, Entry, Item, LaneState, Pause, begin_attempt, clear_batch, withdraw, withdraw_batch,
};
use crate::consumer::settings::Settings;
use crate::consumer::{ConsumerStats, OnFailure};
use crate::gate::{Outcome, Starts};
use crate::store::{Failure, FailureKind, Inbox, ParkingLimits, Store, TransactionSpans};
use crate::transport::Receipt;
use crate::{Error, ErrorKind, MessageId, crash};

/// The result of a batch run.
pub(in crate::consumer) struct Ended<S: Store> {
    /// The state of the lane for the next run.
    pub(in crate::consumer) state: LaneState,
    /// Receipts of finished messages, in order.
    pub(in crate::consumer) finished: Vec<Receipt>,
    /// Unfinished messages, in order.
    pub(in crate::consumer) rest: Vec<Item<S>>,
    pub(in crate::consumer) after: After,
    /// How long the lane waits.
    pub(in crate::consumer) wait: Option<Duration>,
    /// The report to the gates.
    pub(in crate::consumer) outcome: Outcome,
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
    entries: Arc<Vec<Arc<Entry<S>>>>,
    /// The id of the lane's batch attempts.
    lane: MessageId,
    stop: Arc<AtomicBool>,
    starts: Starts,
    /// How many calls found their service unavailable beside the one for which the lane waits.
    unavailable_beside: AtomicUsize,
    failure: OnceLock<Failure>,
}

/// Handles `items`. It stops between transactions when `stop` is set, and counts the handlers that it starts in `starts`.
pub(in crate::consumer) async fn run_batch<S: Inbox>(
    settings: Arc<Settings<S>>,
    items: Vec<Item<S>>,
    (lane, state): (MessageId, LaneState),
    stop: Arc<AtomicBool>,
    starts: Starts,
) -> Ended<S> {
    // Check the age now and not on arrival: a lane may wait for days, and a cleanup removes markers meanwhile.
    let now = Timestamp::now();
    let (receipts, entries): (Vec<Receipt>, Vec<_>) =
        items.into_iter().map(|item| (item.receipt, judged(&settings, item.entry, now))).unzip();
    let handled = entries.iter().map(|entry| entry.is_handled()).collect();
    let mut machine = StateMachine::new(settings.rules, state, handled, Instant::now());
    let run = BatchRun {
        settings,
        entries: Arc::new(entries),
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
        let answer = match machine.next(Instant::now()) {
            Step::Begin(of) => run.begin(of, &machine).await,
            Step::Run(plan) => run.transaction(plan, &machine).await,
            Step::Withdraw(of) => run.withdraw(of).await,
            Step::Clear => {
                clear_batch(&run.settings, &run.lane).await;
                Answer::Cleared
            }
            Step::Stop => return run.ended(receipts, machine.report()),
        };
        machine.answered(Instant::now(), answer);
    }
}

impl<S: Inbox> BatchRun<S> {
    fn id_of(&self, attempt: Attempt) -> &MessageId {
        match attempt {
            Attempt::Batch => &self.lane,
            Attempt::Message(index) => &self.entries[index].received.id,
        }
    }

    /// A message without a recorded attempt does not run.
    async fn begin(&self, of: Attempt, machine: &StateMachine) -> Answer {
        match begin_attempt(&self.settings, self.id_of(of)).await {
            Ok(others) => Answer::Begun { others },
            Err(error) => self.store_failed(error, machine.finished(), None),
        }
    }

    async fn withdraw(&self, of: Attempt) -> Answer {
        let id = self.id_of(of);
        match of {
            Attempt::Batch => Answer::Withdrawn(withdraw_batch(&self.settings, id).await),
            Attempt::Message(_) => {
                withdraw(&self.settings, id, &self.stop).await;
                Answer::Withdrawn(true)
            }
        }
    }

    async fn transaction(&self, mut plan: Plan, machine: &StateMachine) -> Answer {
        let settings = &self.settings;
        let batch = Arc::new(Batch {
            entries: Arc::clone(&self.entries),
            failed: machine.failed().clone(),
            first_attempt: machine.first_attempt(),
            running: AtomicUsize::new(0),
            starts: self.starts.clone(),
            spans: TransactionSpans::new(),
        });
        match calls::make(settings, &batch, &plan, machine.head_waits(), &self.stop).await {
            CallsEnded::Ready(range) => plan.range = range,
            CallsEnded::Failed { index, fault, unavailable } => {
                self.unavailable_beside.store(unavailable, Ordering::Relaxed);
                return Answer::Failed { index, fault };
            }
            CallsEnded::Store(error) => return self.store_failed(error, plan.range.start, None),
        }
        let range = plan.range.clone();
        let attempted = attempt(settings, &batch, plan).await;
        if !matches!(attempted, Attempted::Committed { .. }) {
            settings.stats.add(&ConsumerStats { rolled_back: 1, ..ConsumerStats::default() });
            Span::current().record("otel.status_code", "error");
        }
        match attempted {
            Attempted::Committed { through, stats, failures, mut outcomes, took } => {
                if stats.set_aside + stats.dead + stats.parked > 0 {
                    batch.ask_again();
                }
                if through > range.start {
                    crash::point("consumer.committed");
                }
                self.show(&batch, range.start..through, &stats);
                outcomes.sort_by_key(|(index, _)| *index);
                for (index, outcome) in &outcomes {
                    settings.observers.see(&settings.name, batch.received(*index), outcome);
                }
                failures.into_iter().for_each(|kind| settings.stats.failed(kind));
                settings.stats.add(&stats);
                Answer::Committed { through, done: stats, took }
            }
            Attempted::Full { index, failure } => Answer::Full { index, failure },
            Attempted::Failed { index, fault } => {
                if let Fault::Message(_) = fault {
                    // The next run of the message begins anew with its call.
                    batch.entries[index].call.set(CallState::Unknown);
                    batch.ask_again();
                }
                Answer::Failed { index, fault }
            }
            Attempted::Store { error, handlers_ran } => {
                // Only a handler can be blamed: without one, the store itself has failed.
                let has_handler = range.clone().any(|index| machine.is_handled(index));
                let blamed = (handlers_ran && has_handler).then(|| batch.running.load(Ordering::Relaxed));
                self.store_failed(error, range.start, blamed)
            }
        }
    }

    /// Logs what a committed transaction has set aside, and counts what it has passed over.
    fn show(&self, batch: &Batch<S>, committed: Range<usize>, stats: &ConsumerStats) {
        let settings = &self.settings;
        if stats.set_aside + stats.dead > 0 {
            crash::point("set_aside.committed");
            for (index, failure) in committed.clone().filter_map(|index| Some((index, batch.failure(index)?)))
            {
                log_failure(&settings.name, batch.received(index), failure);
                self.failure.get_or_init(|| failure.clone());
            }
        }
        if stats.ignored > 0 {
            settings.unhandled_types.count(batch.passed_over(settings, committed));
        }
    }

    /// Maps an error of the store to an answer. `blamed` is the message whose handler started last.
    fn store_failed(&self, error: Error, start: usize, blamed: Option<usize>) -> Answer {
        if error.kind() == ErrorKind::Fenced {
            return Answer::Ended(After::Fenced);
        }
        let (index, fault) = match (store_fault(&error), blamed) {
            (Some(Fault::TransactionTimeout(failure)), None) => (start, Fault::Conflict(failure.error)),
            (Some(fault @ Fault::TransactionTimeout(_)), Some(running)) => (running, fault),
            (None, _) | (Some(Fault::Blame(_)), None) => return Answer::Ended(After::Fatal(error)),
            (Some(fault), _) => (start, fault),
        };
        Answer::Failed { index, fault }
    }

    fn ended(self, mut receipts: Vec<Receipt>, report: Report) -> Ended<S> {
        let Report { lane: state, finished, failed, after, wait, done, mut failed_runs, due_in } = report;
        if let (After::Pause(pause), wait) = (&after, wait.unwrap_or_default()) {
            self.log_pause(pause, wait);
        }
        let rest = receipts.split_off(finished).into_iter().zip(finished..);
        let rest = rest.map(|(receipt, index)| Item { receipt, entry: self.unfinished(index, &failed) });
        let rest = rest.collect();
        let used = self.starts.count();
        if let After::Pause(Pause::Unavailable(_)) = &after {
            let beside = self.unavailable_beside.load(Ordering::Relaxed);
            failed_runs.extend(std::iter::repeat_n(FailureKind::Unavailable, beside));
        }
        // Results of earlier calls say nothing of the service.
        let outcome = Outcome { used, handled: done.handled > 0 && used > 0, failed: failed_runs };
        let span = Span::current();
        let failure = self.failure.into_inner();
        Ended { state, finished: receipts, rest, after, wait, outcome, done, failure, due_in, span }
    }

    /// Returns a message for the next run. Without retries, a message whose attempts are used up and that waits for its
    /// dead-letter publication does not run again.
    fn unfinished(&self, index: usize, failed: &BTreeMap<usize, Failure>) -> Arc<Entry<S>> {
        let (entry, rules) = (&self.entries[index], &self.settings.rules);
        entry.call.rest();
        match failed.get(&index) {
            Some(failure) if !rules.runs_again && rules.on_failure != OnFailure::Block => {
                entry.set_aside(failure.clone())
            }
            _ => Arc::clone(entry),
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
                consumer, message_id = %self.entries[*index].received.id, at_most = ?rules.longest_run(),
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
                let message_id = &self.entries[*index].received.id;
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

/// Sets messages older than the dedup window aside instead of handling them.
fn judged<S: Inbox>(settings: &Settings<S>, entry: Arc<Entry<S>>, now: Timestamp) -> Arc<Entry<S>> {
    match settings.window.outside(&entry.received.message, now).filter(|_| entry.is_handled()) {
        Some(failure) => entry.set_aside(failure),
        None => entry,
    }
}
