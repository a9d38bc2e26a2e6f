//! One transaction over a range of messages.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::FutureExt;
use tokio::time::Instant;

use super::handler::{Class, Erased};
use super::router::Task;
use super::settings::Settings;
use super::{ConsumerStats, HandlerError, Inner, OnFailure};
use crate::crash;
use crate::message::DeliveryInfo;
use crate::store::{
    self, Claim, ClaimRequest, End, Failure, FailureKind, Inbox, Next, NextOffset, Received, SetAsideOutcome,
    TransactError,
};
use crate::{Error, ErrorKind, Meta, chain};

/// A message and what is to be done with it.
pub(super) struct Entry<S: store::Store> {
    pub(super) received: Received,
    pub(super) task: Task<S>,
}

/// The messages of a turn, with the failures found so far.
pub(super) struct Batch<S: store::Store> {
    pub(super) entries: Vec<Arc<Entry<S>>>,
    /// Known culprits by index: they are set aside instead of handled.
    pub(super) failed: HashMap<usize, Failure>,
    /// Which run of the first message this is; the others run for the first time.
    pub(super) first_attempt: u32,
    /// The message whose handler started last.
    pub(super) running: AtomicUsize,
}

impl<S: store::Store> Batch<S> {
    /// Returns whether the message goes to its handler: it has one, and has not failed before.
    pub(super) fn is_handled(&self, index: usize) -> bool {
        matches!(self.entries[index].task, Task::Handle { .. }) && !self.failed.contains_key(&index)
    }

    /// Ends a range before a copy of a message in it that is set aside. The claim of the copy stands before the letter is
    /// written, so in one transaction it would be applied behind the letter's back.
    fn before_copy(&self, range: Range<usize>) -> Range<usize> {
        let mut apart = HashSet::new();
        for index in range.clone() {
            let id = &self.entries[index].received.id;
            if apart.contains(id) {
                return range.start..index;
            }
            if self.failure(index).is_some() {
                apart.insert(id);
            }
        }
        range
    }

    /// Returns why the message is set aside, if it is.
    pub(super) fn failure(&self, index: usize) -> Option<&Failure> {
        self.failed.get(&index).or(match &self.entries[index].task {
            Task::SetAside(failure) => Some(failure),
            Task::Handle { .. } | Task::Ignore => None,
        })
    }
}

/// Whose handlers a transaction may run.
#[derive(Clone, Copy)]
pub(super) enum Runs {
    /// Those of all messages.
    All,
    /// Only that of the message at this index, whose note is then forgotten.
    Noted(Option<usize>),
}

impl Runs {
    fn may_run(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Noted(noted) => noted == Some(index),
        }
    }

    /// Returns the noted message when a range finishes it.
    fn absolves(self, finished: Range<usize>) -> Option<usize> {
        match self {
            Self::All => None,
            Self::Noted(noted) => noted.filter(|noted| finished.contains(noted)),
        }
    }
}

/// How a transaction ended.
pub(super) enum Attempted {
    /// Committed as far as `through`.
    Committed { through: usize, stats: ConsumerStats },
    /// The handler at `index` failed; nothing was kept.
    Failed { index: usize, fault: Fault },
    /// The store failed; nothing was kept, or nobody knows.
    Store { error: Error, handlers_ran: bool },
}

/// What a failed handler or transaction means to the loop.
pub(super) enum Fault {
    /// This message: set it apart.
    Message(Failure),
    /// A dependency is down: wait, burn nothing.
    Unavailable(String),
    /// Somebody else's lock: go on with less, burn nothing.
    Conflict(String),
    /// The transaction held the lock for too long while this message's handler ran.
    LockBound(Failure),
    /// The transaction was already over: nobody knows whose fault it is.
    Blame(Failure),
}

/// Tries to apply `range` of the batch in one transaction.
pub(super) async fn attempt<S: Inbox>(
    settings: &Arc<Settings<S>>,
    batch: &Arc<Batch<S>>,
    range: Range<usize>,
    runs: Runs,
) -> Attempted {
    let (shared, messages) = (Arc::clone(settings), Arc::clone(batch));
    let work = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let end = apply(&shared, &messages, range, runs, &mut tx).await;
            (tx, end)
        })
    }));
    match work.await {
        Ok(attempted) => attempted,
        Err(TransactError::Begin(error)) => Attempted::Store { error, handlers_ran: false },
        Err(TransactError::Commit(error) | TransactError::Unknown(error)) => {
            Attempted::Store { error, handlers_ran: true }
        }
    }
}

async fn apply<S: Inbox>(
    settings: &Settings<S>,
    batch: &Batch<S>,
    range: Range<usize>,
    runs: Runs,
    tx: &mut S::Tx,
) -> End<Attempted> {
    let (store, consumer) = (&settings.store, &*settings.name);
    let range = batch.before_copy(range);
    let is_claimed = |index: &usize| {
        let waits = |task: &Task<S>| matches!(task, Task::SetAside(failure) if blocks(settings, failure));
        batch.is_handled(*index) || waits(&batch.entries[*index].task)
    };
    let requests: Vec<ClaimRequest> =
        range.clone().filter(is_claimed).map(|index| request(&batch.entries[index].received)).collect();
    let claims = if requests.is_empty() {
        Vec::new()
    } else {
        match store.claim(tx, consumer, &requests).await {
            Ok(claims) => claims,
            Err(error) => return give_up(error, false),
        }
    };
    crash::point("consumer.claimed");

    let mut stats = ConsumerStats { batches: 1, ..ConsumerStats::default() };
    let mut claimed = 0;
    let mut through = range.end;
    let started = Instant::now();
    for index in range.clone() {
        let entry = &batch.entries[index];
        let failure = match (&entry.task, batch.failed.get(&index)) {
            (Task::SetAside(failure), None) if blocks(settings, failure) => {
                if claims[claimed] == Claim::Fresh {
                    let fault = Fault::Message(failure.clone());
                    return End::Rollback(Attempted::Failed { index, fault });
                }
                claimed += 1;
                stats.duplicates += 1;
                None
            }
            (_, Some(failure)) | (Task::SetAside(failure), None) => Some(failure),
            (Task::Ignore, None) => {
                stats.ignored += 1;
                None
            }
            (Task::Handle { handler, meta }, None) => {
                if claims[claimed] != Claim::Fresh {
                    claimed += 1;
                    stats.duplicates += 1;
                    continue;
                }
                let time_is_up = stats.handled > 0 && started.elapsed() >= settings.batch.time;
                if time_is_up || !runs.may_run(index) {
                    through = index;
                    break;
                }
                claimed += 1;
                let attempt = if index == 0 { batch.first_attempt } else { 1 };
                batch.running.store(index, Ordering::Relaxed);
                if let Err(fault) = handle(settings, tx, &entry.received, handler, meta, attempt).await {
                    return End::Rollback(Attempted::Failed { index, fault });
                }
                crash::point("consumer.handled");
                stats.handled += 1;
                None
            }
        };
        if let Some(failure) = failure {
            match store.set_aside(tx, consumer, &entry.received, failure).await {
                Ok(SetAsideOutcome::SetAside) if failure.next == Next::Dead => stats.dead += 1,
                Ok(SetAsideOutcome::SetAside) => stats.set_aside += 1,
                Ok(SetAsideOutcome::AlreadySettled | SetAsideOutcome::Full) => stats.duplicates += 1,
                Err(error) => return give_up(error, stats.handled > 0),
            }
            crash::point("set_aside.written");
        }
    }
    // Claims that did not run must leave the transaction, else they would commit as done.
    let unused: Vec<ClaimRequest> = std::iter::zip(requests, claims)
        .skip(claimed)
        .filter_map(|(request, claim)| (claim == Claim::Fresh).then_some(request))
        .collect();
    if !unused.is_empty()
        && let Err(error) = store.unclaim(tx, consumer, &unused).await
    {
        return give_up(error, true);
    }
    if let Some(noted) = runs.absolves(range.start..through)
        && let Err(error) = store.absolve(tx, consumer, &batch.entries[noted].received).await
    {
        return give_up(error, true);
    }
    let positions = positions(&batch.entries[range.start..through]);
    if !positions.is_empty()
        && let Err(error) = store.advance(tx, consumer, &positions).await
    {
        return give_up(error, true);
    }
    crash::point("consumer.advanced");
    End::Commit(Attempted::Committed { through, stats })
}

/// Returns whether a message that cannot be handled waits in place: a deployment may cure it, and its key keeps its order. A
/// type that is only kept has no handler whose order could matter.
fn blocks<S: Inbox>(settings: &Settings<S>, failure: &Failure) -> bool {
    settings.on_failure == OnFailure::Block && failure.kind != FailureKind::UnknownType
}

fn give_up(error: Error, handlers_ran: bool) -> End<Attempted> {
    End::Rollback(Attempted::Store { error, handlers_ran })
}

pub(super) fn request(received: &Received) -> ClaimRequest {
    ClaimRequest {
        id: received.id.clone(),
        topic: Arc::clone(&received.message.topic),
        key: received.message.key.clone(),
        generation: 0,
    }
}

/// The position behind the last message of each partition.
fn positions<S: store::Store>(entries: &[Arc<Entry<S>>]) -> Vec<NextOffset> {
    let mut positions: Vec<NextOffset> = Vec::new();
    for place in entries.iter().filter_map(|entry| entry.received.place.as_ref()) {
        let next = place.offset + 1;
        match positions
            .iter_mut()
            .find(|known| known.partition == place.partition && known.topic == place.topic)
        {
            Some(known) => known.next = known.next.max(next),
            None => positions.push(NextOffset {
                topic: Arc::clone(&place.topic),
                partition: place.partition,
                strand: 0,
                next,
            }),
        }
    }
    positions
}

/// Runs one handler with its deadline, and says what its failure means.
pub(super) async fn handle<S: Inbox>(
    settings: &Settings<S>,
    tx: &mut S::Tx,
    received: &Received,
    handler: &Arc<dyn Erased<S>>,
    meta: &Meta,
    attempt: u32,
) -> Result<(), Fault> {
    let info = DeliveryInfo {
        attempt,
        headers: received.message.headers.clone(),
        place: received.place.clone(),
        deadline: Some(Instant::now() + settings.deadline),
    };
    let inner = Inner {
        around: &settings.around,
        handler: &**handler,
        message: &received.message,
        meta: meta.clone(),
        info,
    };
    // The future is made in here, so that a panic on the way to it is caught as well.
    let handling = async { inner.run(tx).await };
    let started = std::time::Instant::now();
    let ended = tokio::select! {
        biased;
        ended = tokio::time::timeout(settings.deadline, AssertUnwindSafe(handling).catch_unwind()) => ended,
        () = settings.cut_off.requested() => {
            return Err(Fault::Conflict("handler was cut off by a stop".to_owned()));
        }
    };
    settings.stats.took(started.elapsed());
    match ended {
        Ok(Ok(Ok(()))) => Ok(()),
        Ok(Ok(Err(error))) => Err(fault::<S>(&error)),
        Ok(Err(panic)) => {
            let text = panic
                .downcast_ref::<&str>()
                .copied()
                .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
            let text = format!("handler panicked: {}", text.unwrap_or("without a text"));
            Err(Fault::Message(Failure::retryable(FailureKind::Panicked, text)))
        }
        Err(_) => {
            let text = format!("handler did not end within its deadline of {:?}", settings.deadline);
            Err(Fault::Message(Failure::retryable(FailureKind::TooSlow, text)))
        }
    }
}

fn fault<S: Inbox>(error: &HandlerError) -> Fault {
    let text = error.to_string();
    let failure = match error.class {
        Class::Permanent => Failure::permanent(FailureKind::Permanent, text),
        Class::Undecodable => Failure::permanent(FailureKind::Undecodable, text),
        Class::Unavailable | Class::Retryable | Class::Unclassified => {
            Failure::retryable(FailureKind::Failed, text)
        }
    };
    match (error.class, store::classify::<S>(error.source.as_ref())) {
        // Whatever the handler calls it: the transaction was over, and an earlier message may have ended it.
        (_, Some(ErrorKind::Aborted)) => Fault::Blame(Failure { kind: FailureKind::Transaction, ..failure }),
        (_, Some(ErrorKind::LockBound)) => {
            Fault::LockBound(Failure { kind: FailureKind::Transaction, ..failure })
        }
        (Class::Unavailable, _)
        | (Class::Unclassified, Some(ErrorKind::Unavailable | ErrorKind::OutcomeUnknown)) => {
            Fault::Unavailable(failure.error)
        }
        (Class::Unclassified, Some(ErrorKind::Conflict)) => Fault::Conflict(failure.error),
        _ => Fault::Message(failure),
    }
}

/// Says what an error of the store means, outside of any handler.
pub(super) fn store_fault(error: &Error) -> Option<Fault> {
    let text = chain(error);
    match error.kind() {
        ErrorKind::Unavailable | ErrorKind::OutcomeUnknown => Some(Fault::Unavailable(text)),
        ErrorKind::Conflict => Some(Fault::Conflict(text)),
        ErrorKind::LockBound => Some(Fault::LockBound(Failure::retryable(FailureKind::Transaction, text))),
        ErrorKind::Aborted | ErrorKind::Other => {
            Some(Fault::Blame(Failure::retryable(FailureKind::Transaction, text)))
        }
        _ => None,
    }
}
