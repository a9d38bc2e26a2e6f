//! What is waiting in a lane, from claim to commit, cut where something fails.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use super::adaptive_batch::AdaptiveBatch;
use super::batch::{Batch, Entry, Runs};
use super::bisection::Bisection;
use super::caution::{Careful, Caution, Step, Watched};
use super::fault::{Fault, store_fault};
use super::first::First;
use super::router::Task;
use super::settings::Settings;
use super::transaction::{Attempted, attempt};
use super::{ConsumerStats, OnFailure};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::crash;
use crate::gate::{Outcome, Verdict};
use crate::store::{Failure, Inbox, Next, ReceivedMessage, Store};
use crate::transport::Receipt;
use crate::{Error, ErrorKind, MessageId};

/// A prepared delivery.
pub(super) struct Item<S: Store> {
    pub(super) receipt: Receipt,
    pub(super) entry: Arc<Entry<S>>,
}

/// How a turn ended.
pub(super) struct Turn<S: Store> {
    /// Receipts of what is finished, in order.
    pub(super) finished: Vec<Receipt>,
    /// What is not, in order.
    pub(super) rest: Vec<Item<S>>,
    pub(super) after: After,
    /// What the gates are told.
    pub(super) outcome: Outcome,
    /// When the failed messages of this turn are due.
    pub(super) due_in: Vec<Duration>,
    /// How many of the lane's first messages were finished.
    pub(super) of_first: u32,
    /// How many messages fit into the time of a transaction.
    pub(super) fits: AdaptiveBatch,
}

/// How a turn goes about its messages.
pub(super) struct Manner {
    /// Which run of the first message this is; it counts the runs of a message that blocks its lane.
    pub(super) first_attempt: u32,
    /// The first messages of the lane, as far as they are not finished.
    pub(super) first: First,
    /// Since when the first message says that a dependency is unavailable.
    pub(super) unavailable: Option<Instant>,
    /// How many messages fitted into the time of a transaction before.
    pub(super) fits: AdaptiveBatch,
    /// The message that others are to answer for.
    pub(super) watched: Option<Watched>,
}

/// What the lane does next.
#[derive(Debug)]
pub(super) enum After {
    /// Goes on.
    Continue,
    /// Waits for an outage to pass, of which a handler has told or the store.
    Outage { error: String, told_by_handler: bool },
    /// Goes on with a smaller batch.
    Conflict(String),
    /// Goes on with one message at a time: a process has died of one of them.
    TakeCare,
    /// Waits for others to answer for one of its messages, or to be dead.
    Watch(Watched),
    /// Waits for its first message, which has failed.
    Blocked(Failure),
    /// Waits because its first message would have to be parked, and there is no room: a culprit with its failure, or one
    /// behind another, which has not run.
    Full(MessageId, Option<Failure>),
    /// Another process has the lane's cursor.
    Fenced,
    /// The store answered what no waiting cures.
    Fatal(Error),
}

/// Works through `items`. Stops between transactions when `stop` is set.
pub(super) async fn turn<S: Inbox>(
    settings: Arc<Settings<S>>,
    items: Vec<Item<S>>,
    manner: Manner,
    stop: Arc<AtomicBool>,
) -> Turn<S> {
    let Manner { first_attempt, mut first, unavailable, mut fits, watched } = manner;
    // Judged now and not when it arrived: a lane may wait for days, and markers go meanwhile.
    let now = Timestamp::now();
    let (mut receipts, entries): (Vec<Receipt>, Vec<_>) =
        items.into_iter().map(|item| (item.receipt, judged(&settings, item.entry, now))).unzip();
    let mut batch =
        Arc::new(Batch { entries, failed: HashMap::new(), first_attempt, running: AtomicUsize::new(0) });
    let mut split = Bisection::new(receipts.len());
    let mut done = ConsumerStats::default();
    let mut after = After::Continue;
    let mut verdict = Verdict::Neutral;
    let mut due_in = Vec::new();
    let mut slow: Option<usize> = None;

    if first.left() == 0 && first.is_one_by_one() {
        first.forget(&settings).await;
        first.end();
    }
    let is_noted = first.is_noted() && (0..batch.entries.len()).any(|index| batch.is_handled(index));
    let mut caution = None;
    let looked = if is_noted {
        first.note(&settings).await.map(|somebody_has| {
            if somebody_has {
                after = After::TakeCare;
                split.stop_before(0);
            }
        })
    } else if first.is_one_by_one() {
        Caution::look(&settings, &batch, watched).await.map(|look| caution = Some(look))
    } else {
        Ok(())
    };
    if let Err(error) = looked {
        after = without_a_note(error);
        split.stop_before(0);
    }

    while let Some(mut range) = split.range() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let mut runs = Runs::All;
        if let Some(caution) = &mut caution {
            match caution.next(&settings, &batch, range.clone()).await {
                Ok(Step::Try(Careful { range: careful, noted, killer })) => {
                    if careful.end < range.end {
                        split.ends_with(careful.end - 1);
                    }
                    if let (Some(index), Some(failure)) = (noted, killer) {
                        note(&mut batch, index, failure);
                    }
                    (range, runs) = (careful, Runs::Noted(noted));
                }
                Ok(Step::Rest) => break,
                Ok(Step::Watch(watched)) => {
                    after = After::Watch(watched);
                    break;
                }
                Err(error) => {
                    after = without_a_note(error);
                    break;
                }
            }
        }
        let is_whole = matches!(runs, Runs::All);
        if is_whole {
            range = fits.shortened(range);
        }
        let fault = match attempt(&settings, &batch, range.clone(), runs).await {
            Attempted::Committed { through, stats, took } => {
                crash::point("consumer.committed");
                if is_whole {
                    fits.learn(&range, through, took, settings.batch.time);
                }
                if stats.set_aside + stats.dead > 0 {
                    crash::point("set_aside.committed");
                    for index in range.start..through {
                        if let Some(failure) = batch.failure(index) {
                            log_failure(&settings.name, &batch.entries[index].received, failure);
                        }
                    }
                }
                settings.stats.add(&stats);
                done.handled += stats.handled;
                done.set_aside += stats.set_aside + stats.dead + stats.parked;
                done.ignored += stats.ignored;
                caution.iter_mut().for_each(|caution| caution.committed(&range, through));
                split.committed(through);
                continue;
            }
            Attempted::Full { index, failure } => {
                settings.stats.add(&ConsumerStats { rolled_back: 1, ..ConsumerStats::default() });
                after = After::Full(batch.entries[index].received.id.clone(), failure);
                split.stop_before(index);
                continue;
            }
            Attempted::Failed { index, fault } => (index, fault),
            Attempted::Store { error, .. } if error.kind() == ErrorKind::Fenced => {
                after = After::Fenced;
                break;
            }
            Attempted::Store { error, handlers_ran } => {
                // Blame needs somebody to blame: without a handler the store itself is broken.
                let blames = handlers_ran && range.clone().any(|index| batch.is_handled(index));
                match store_fault(&error) {
                    Some(Fault::TransactionTimeout(failure)) if !blames => {
                        (range.start, Fault::Conflict(failure.error))
                    }
                    Some(fault @ Fault::TransactionTimeout(_)) => {
                        (batch.running.load(Ordering::Relaxed), fault)
                    }
                    Some(fault) if blames || !matches!(fault, Fault::Blame(_)) => (range.start, fault),
                    _ => {
                        after = After::Fatal(error);
                        break;
                    }
                }
            }
        };
        settings.stats.add(&ConsumerStats { rolled_back: 1, ..ConsumerStats::default() });
        let (index, failure) = match fault {
            (index, Fault::Message(failure)) => (index, failure),
            // A machine that stood still costs nobody an attempt: only who is slow by itself, too, is to blame.
            (index, Fault::TransactionTimeout(_)) if slow != Some(index) => {
                slow = Some(index);
                split.alone(index);
                continue;
            }
            (_, Fault::Blame(_)) if split.halve() => continue,
            (index, Fault::TransactionTimeout(failure) | Fault::Blame(failure)) => (index, failure),
            (index, Fault::Unavailable(error)) => {
                // What gates guard is what handlers need.
                verdict = Verdict::Failure;
                let waits = settings.on_failure == OnFailure::Block || !S::RUNS_AGAIN || index > 0;
                let is_over = unavailable.is_some_and(|since| since.elapsed() >= settings.unavailable_limit);
                if waits || !is_over {
                    after = After::Outage { error, told_by_handler: true };
                    // What stands before the message whose dependency is down does not wait with it.
                    split.stop_before(index);
                    continue;
                }
                if range.len() > 1 {
                    // Of several in one call any may be meant, and only the first one has waited.
                    split.alone(0);
                    continue;
                }
                let failure = settings.unavailable(error, first_attempt - 1);
                if let Next::Retry(delay) = failure.next {
                    due_in.push(delay);
                }
                note(&mut batch, 0, failure);
                split.ends_with(0);
                continue;
            }
            (_, Fault::Outage(error)) => {
                after = After::Outage { error, told_by_handler: false };
                break;
            }
            (_, Fault::Conflict(error)) => {
                after = After::Conflict(error);
                break;
            }
        };
        let attempt = if index == 0 { first_attempt } else { 1 };
        let blocks = settings.on_failure == OnFailure::Block;
        let failure = if blocks { failure } else { settings.decide(failure, attempt) };
        let again_in_place = !S::RUNS_AGAIN && matches!(failure.next, Next::Retry(_));
        if blocks || again_in_place {
            split.stop_before(index);
            after = After::Blocked(failure);
            continue;
        }
        if let Next::Retry(delay) = failure.next {
            due_in.push(delay);
        }
        note(&mut batch, index, failure);
        split.ends_with(index);
    }

    let mut of_first = 0;
    if let Some(caution) = caution {
        caution.stand_down(&settings, &batch, &stop).await;
        of_first = if caution.found { first.left() } else { caution.finished };
        if of_first >= first.left() {
            first.forget(&settings).await;
        }
    } else if is_noted {
        // Duplicates do not count: whatever was not committed stands behind them.
        let finished = done.handled + done.set_aside + done.ignored;
        if first.take_back(&settings).await {
            of_first = u32::try_from(finished).unwrap_or(u32::MAX);
        }
    }
    let rest_receipts = receipts.split_off(split.finished());
    let rest = (split.finished()..).map(|index| unfinished(&batch, index));
    let rest = rest_receipts.into_iter().zip(rest).map(|(receipt, entry)| Item { receipt, entry }).collect();
    if verdict == Verdict::Neutral && done.handled > 0 {
        verdict = Verdict::Success;
    }
    let used = u32::try_from(receipts.len()).unwrap_or(u32::MAX);
    Turn { finished: receipts, rest, after, outcome: Outcome { verdict, used }, due_in, of_first, fits }
}

/// What is older than the window is set aside instead of handled.
fn judged<S: Inbox>(settings: &Settings<S>, entry: Arc<Entry<S>>, now: Timestamp) -> Arc<Entry<S>> {
    let is_handled = matches!(entry.task, Task::Handle { .. });
    match settings.window.outside(&entry.received.message, now).filter(|_| is_handled) {
        Some(failure) => Arc::new(Entry { received: entry.received.clone(), task: Task::SetAside(failure) }),
        None => entry,
    }
}

/// Says what the lane does when a message could not be looked at or noted: it does not run.
fn without_a_note(error: Error) -> After {
    match store_fault(&error) {
        Some(Fault::Outage(error)) => After::Outage { error, told_by_handler: false },
        Some(Fault::Conflict(text)) => After::Conflict(text),
        Some(Fault::TransactionTimeout(failure)) => After::Conflict(failure.error),
        _ => After::Fatal(error),
    }
}

/// Returns a message for the next turn. Where nothing is rolled back, one that has used up its attempts and only waits for its
/// failed message does not run again.
fn unfinished<S: Inbox>(batch: &Batch<S>, index: usize) -> Arc<Entry<S>> {
    let entry = &batch.entries[index];
    match batch.failed.get(&index) {
        Some(failure) if !S::RUNS_AGAIN => {
            let task = Task::SetAside(failure.clone());
            Arc::new(Entry { received: entry.received.clone(), task })
        }
        _ => Arc::clone(entry),
    }
}

/// Remembers a culprit for the next transaction. The last one is over, so the batch is ours alone again, unless a store
/// keeps the work of a dropped transaction for a moment.
fn note<S: Inbox>(batch: &mut Arc<Batch<S>>, index: usize, failure: Failure) {
    if let Some(batch) = Arc::get_mut(batch) {
        batch.failed.insert(index, failure);
        return;
    }
    let mut failed = batch.failed.clone();
    failed.insert(index, failure);
    let (entries, first_attempt) = (batch.entries.clone(), batch.first_attempt);
    *batch = Arc::new(Batch { entries, failed, first_attempt, running: AtomicUsize::new(0) });
}

/// Says that a message failed; when it is dead, a person must look.
pub(super) fn log_failure(consumer: &str, received: &ReceivedMessage, failure: &Failure) {
    let (message_id, topic) = (&received.id, &*received.message.topic);
    let Failure { kind, error, attempts, next, .. } = failure;
    match next {
        Next::Retry(delay) => {
            tracing::warn!(consumer, %message_id, topic, %kind, error, attempts, ?delay, "message set aside");
        }
        Next::Dead => {
            tracing::error!(consumer, %message_id, topic, %kind, error, attempts, "message is dead");
        }
    }
}
