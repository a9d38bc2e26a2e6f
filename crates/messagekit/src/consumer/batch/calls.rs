//! The calls of a batch, before the transaction of its effects.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use tokio::time::Instant;

use super::messages::Batch;
use super::steps::Plan;
use crate::consumer::fault::{Fault, call};
use crate::consumer::lane::CallState;
use crate::consumer::settings::Settings;
use crate::handler::{Input, Task};
use crate::store::{Claim, ClaimRequest, End, Inbox, TransactError};
use crate::{Error, crash};

/// The result of the calls for a plan.
pub(super) enum CallsOutcome {
    /// All calls of this part of the plan, from its front, are made.
    Ready(Range<usize>),
    /// The first call that is missing has failed, and so many others found the service unavailable beside it.
    Failed { index: usize, fault: Fault, unavailable: usize },
    /// The store did not say which messages are fresh.
    Store(Error),
}

impl CallsOutcome {
    fn failed(index: usize, fault: Fault) -> Self {
        Self::Failed { index, fault, unavailable: 0 }
    }
}

/// Makes the calls that a plan needs, side by side; those of one key follow each other. None is made for a message that the
/// store knows as done, that waits behind its key, or whose lane waits for another one. After the time of a batch no further call
/// begins: what was called is committed first. While the first message is tried again (`head_waits`), it is called alone.
pub(super) async fn make_calls<S: Inbox>(
    settings: &Settings<S>,
    batch: &Batch<S>,
    plan: &Plan,
    head_waits: bool,
    stop: &AtomicBool,
) -> CallsOutcome {
    let Some(at_once) = settings.rules.calls else { return CallsOutcome::Ready(plan.range.clone()) };
    let range = batch.one_transaction(settings, plan.range.clone());
    let open = match find_open(settings, batch, &range, plan).await {
        Ok(open) => open,
        Err(PeekError::CutOff) => return CallsOutcome::failed(range.start, Fault::CutOff),
        Err(PeekError::Store(error)) => return CallsOutcome::Store(error),
    };
    // What was called is committed before further calls, and what failed beside an earlier message is answered.
    let Some(first) = open.first().copied() else { return CallsOutcome::Ready(range) };
    if (range.start..first).any(|index| batch.messages[index].call.made().is_some()) {
        return CallsOutcome::Ready(range.start..first);
    }
    if let Some(failed) = take_failure(batch, first, &open) {
        return failed;
    }
    let mut chains = chains(batch, &open);
    if head_waits {
        chains.truncate(1);
        chains.iter_mut().for_each(|chain| chain.truncate(1));
    }
    let making = CallsInProgress::new(settings, batch, stop);
    let chains = futures_util::stream::iter(chains).map(|chain| making.chain(chain));
    let waiting: BTreeMap<usize, Fault> =
        chains.buffer_unordered(at_once.get() as usize).filter_map(std::future::ready).collect().await;
    calls_outcome(batch, range, &open, waiting)
}

/// Answers with the first of these messages without a result.
fn calls_outcome<S: Inbox>(
    batch: &Batch<S>,
    range: Range<usize>,
    open: &[usize],
    mut waiting: BTreeMap<usize, Fault>,
) -> CallsOutcome {
    let has_result = |index: &usize| batch.messages[*index].call.made().is_some();
    let Some(index) = open.iter().copied().find(|index| !has_result(index)) else {
        return CallsOutcome::Ready(range);
    };
    take_failure(batch, index, open)
        .or_else(|| waiting.remove(&index).map(|fault| CallsOutcome::failed(index, fault)))
        .unwrap_or(CallsOutcome::Ready(range.start..index))
}

/// Takes the failure of a message's call, if it has one.
fn take_failure<S: Inbox>(batch: &Batch<S>, index: usize, open: &[usize]) -> Option<CallsOutcome> {
    let slot = |index: usize| &batch.messages[index].call;
    let (fault, unavailable) = match slot(index).state() {
        CallState::Failed(failure) => (Fault::Message(failure), 0),
        CallState::Unavailable(error) => {
            let is_away = |other: &&usize| {
                **other != index && matches!(slot(**other).state(), CallState::Unavailable(_))
            };
            (Fault::Unavailable(error), open.iter().filter(is_away).count())
        }
        _ => return None,
    };
    slot(index).set(CallState::Unknown);
    batch.ask_again();
    Some(CallsOutcome::Failed { index, fault, unavailable })
}

/// Why it is not known which calls are needed.
enum PeekError {
    CutOff,
    Store(Error),
}

/// Returns the messages of the plan whose call is needed and not made, in order.
async fn find_open<S: Inbox>(
    settings: &Settings<S>,
    batch: &Batch<S>,
    range: &Range<usize>,
    plan: &Plan,
) -> Result<Vec<usize>, PeekError> {
    let state = |index: usize| batch.messages[index].call.state();
    let calls_first = |index: &usize| {
        matches!(batch.task(*index), Task::Handle { handler, .. } if handler.first_phase().is_some())
            && plan.handlers.may_run(*index)
    };
    let calling: Vec<usize> = range.clone().filter(calls_first).collect();
    if calling.iter().any(|index| matches!(state(*index), CallState::Unknown)) {
        ask_store(settings, batch, range, &calling).await?;
    }
    let is_open = |index: &usize| {
        let state = state(*index);
        matches!(state, CallState::Needed) || state.has_failed()
    };
    Ok(calling.into_iter().filter(is_open).collect())
}

/// Asks the store which of the calls are needed.
async fn ask_store<S: Inbox>(
    settings: &Settings<S>,
    batch: &Batch<S>,
    range: &Range<usize>,
    calling: &[usize],
) -> Result<(), PeekError> {
    let is_claimed = |index: &usize| matches!(batch.task(*index), Task::Handle { .. } | Task::Block(_));
    let claimed: Vec<usize> = range.clone().filter(is_claimed).collect();
    let requests = claimed.iter().map(|index| settings.claim_of(batch.received(*index))).collect();
    let claims = peek(settings, requests).await?;
    let fresh: HashSet<usize> = std::iter::zip(claimed, claims)
        .filter_map(|(index, claim)| (claim == Claim::Fresh).then_some(index))
        .collect();
    let blocks = |index: &usize| fresh.contains(index) && matches!(batch.task(*index), Task::Block(_));
    // The lane waits for it, and with it what is behind.
    let end = range.clone().find(blocks).unwrap_or(range.end);
    for index in calling {
        let slot = &batch.messages[*index].call;
        if let CallState::Unknown = slot.state() {
            let is_needed = fresh.contains(index) && *index < end;
            slot.set(if is_needed { CallState::Needed } else { CallState::NotNeeded });
        }
    }
    Ok(())
}

/// Asks what a claim of these messages would answer now: it claims them and rolls back.
async fn peek<S: Inbox>(
    settings: &Settings<S>,
    requests: Vec<ClaimRequest>,
) -> Result<Vec<Claim>, PeekError> {
    let (store, consumer) = (settings.store.clone(), Arc::clone(&settings.name));
    let work = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let claims = store.claim(&mut tx, &consumer, &requests).await;
            (tx, End::Rollback(claims))
        })
    }));
    match settings.unless_cut_off(work).await {
        None => Err(PeekError::CutOff),
        Some(Ok(claims)) => claims.map_err(PeekError::Store),
        Some(Err(
            TransactError::Begin(error) | TransactError::Commit(error) | TransactError::Unknown(error),
        )) => Err(PeekError::Store(error)),
    }
}

/// Returns the messages whose calls follow each other: those of one key, as far as none of them has failed. Messages without a key
/// have a chain each.
fn chains<S: Inbox>(batch: &Batch<S>, open: &[usize]) -> Vec<Vec<usize>> {
    let mut chains: Vec<Vec<usize>> = Vec::new();
    let mut chain_of: HashMap<(&str, &[u8]), usize> = HashMap::new();
    for index in open.iter().copied() {
        let message = &batch.received(index).message;
        let next = chains.len();
        let at = match &message.key {
            Some(key) => *chain_of.entry((&*message.topic, key)).or_insert(next),
            None => next,
        };
        if at == next {
            chains.push(Vec::new());
        }
        chains[at].push(index);
    }
    let has_failed = |index: &usize| batch.messages[*index].call.state().has_failed();
    for chain in &mut chains {
        let end = chain.iter().position(has_failed).unwrap_or(chain.len());
        chain.truncate(end);
    }
    chains.retain(|chain| !chain.is_empty());
    chains
}

/// Calls in progress.
struct CallsInProgress<'a, S: Inbox> {
    settings: &'a Settings<S>,
    batch: &'a Batch<S>,
    stop: &'a AtomicBool,
    has_begun: AtomicBool,
    /// A call has found that the other service is away: none begins behind it.
    is_closed: AtomicBool,
    since: Instant,
}

impl<'a, S: Inbox> CallsInProgress<'a, S> {
    fn new(settings: &'a Settings<S>, batch: &'a Batch<S>, stop: &'a AtomicBool) -> Self {
        let (has_begun, is_closed) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { settings, batch, stop, has_begun, is_closed, since: Instant::now() }
    }

    /// Makes the calls of a chain in order. A failure that costs an attempt stays with its message; another one is returned.
    async fn chain(&self, chain: Vec<usize>) -> Option<(usize, Fault)> {
        for index in chain {
            if !self.may_begin() {
                return None;
            }
            let prepared = &self.batch.messages[index];
            let Task::Handle { handler, meta } = self.batch.task(index) else { return None };
            let phase = handler.first_phase()?;
            let attempt = if index == 0 { self.batch.first_attempt } else { 1 };
            let input = Input::new(&prepared.received, meta, attempt);
            match call(self.settings, &self.batch.starts, phase, input).await {
                Ok(result) => {
                    crash::point("consumer.called");
                    prepared.call.set(CallState::Made(result));
                }
                Err(Fault::Message(failure)) => {
                    prepared.call.set(CallState::Failed(failure));
                    return None;
                }
                Err(Fault::Unavailable(error)) => {
                    prepared.call.set(CallState::Unavailable(error));
                    self.is_closed.store(true, Ordering::Relaxed);
                    return None;
                }
                Err(fault) => {
                    self.is_closed.store(true, Ordering::Relaxed);
                    return Some((index, fault));
                }
            }
        }
        None
    }

    /// The first call always begins, or a batch would make no progress.
    fn may_begin(&self) -> bool {
        let is_late = self.since.elapsed() >= self.settings.rules.time_of_a_transaction();
        let is_over = self.is_closed.load(Ordering::Relaxed) || self.stop.load(Ordering::Relaxed);
        !is_over && (!self.has_begun.swap(true, Ordering::Relaxed) || !is_late)
    }
}
