//! The calls of a batch, before the transaction of its effects.

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::StreamExt;
use tokio::time::Instant;

use super::batch::{Batch, Duty};
use super::call_slot::CallEnded;
use super::fault::{Fault, call};
use super::handler_run::Run;
use super::settings::Settings;
use super::steps::Plan;
use crate::store::{Claim, ClaimRequest, End, Inbox, TransactError};
use crate::{Error, crash};

/// The result of the calls for a plan.
pub(super) enum CallsEnded {
    /// All calls of this part of the plan, from its front, are made.
    Ready(Range<usize>),
    /// The first call that is missing has failed.
    Failed { index: usize, fault: Fault },
    /// The store did not say which messages are fresh.
    Store(Error),
}

/// Makes the calls that a plan needs, side by side; those of one key follow each other. None is made for a message that the
/// store knows as done, or that waits behind its key. After the time of a batch no further call begins: what was called is
/// committed first.
pub(super) async fn make<S: Inbox>(
    settings: &Settings<S>,
    batch: &Batch<S>,
    plan: &Plan,
    stop: &AtomicBool,
) -> CallsEnded {
    let Some(at_once) = settings.rules.calls else { return CallsEnded::Ready(plan.range.clone()) };
    let range = batch.one_transaction(settings, plan.range.clone());
    let missing = match missing(settings, batch, range.clone(), plan).await {
        Ok(missing) => missing,
        Err(Missing::CutOff) => return CallsEnded::Failed { index: range.start, fault: Fault::CutOff },
        Err(Missing::Store(error)) => return CallsEnded::Store(error),
    };
    let making = Making::new(settings, batch, stop);
    let chains = futures_util::stream::iter(chains(batch, &missing)).map(|chain| making.chain(chain));
    let mut waiting: HashMap<usize, Fault> =
        chains.buffer_unordered(at_once.get() as usize).filter_map(std::future::ready).collect().await;
    for index in missing {
        let slot = &batch.entries[index].call;
        if let Some(fault) = slot.take_failure().map(Fault::Message).or_else(|| waiting.remove(&index)) {
            return CallsEnded::Failed { index, fault };
        }
        if slot.is_empty() {
            return CallsEnded::Ready(range.start..index);
        }
    }
    CallsEnded::Ready(range)
}

/// Why it is not known which calls are missing.
enum Missing {
    CutOff,
    Store(Error),
}

/// Returns the messages of the plan whose call is not made, in order.
async fn missing<S: Inbox>(
    settings: &Settings<S>,
    batch: &Batch<S>,
    range: Range<usize>,
    plan: &Plan,
) -> Result<Vec<usize>, Missing> {
    let slot = |index: usize| &batch.entries[index].call;
    let is_open = |index: &usize| {
        matches!(batch.duty(settings, *index), Duty::Handle(handler, _) if handler.calls_first())
            && plan.runs.may_run(*index)
            && slot(*index).made().is_none()
    };
    let mut open: Vec<usize> = range.clone().filter(is_open).collect();
    if open.iter().all(|index| !slot(*index).is_empty()) {
        return Ok(open);
    }
    let is_claimed =
        |index: &usize| matches!(batch.duty(settings, *index), Duty::Handle(..) | Duty::Block(_));
    let claimed: Vec<usize> = range.filter(is_claimed).collect();
    let requests = claimed.iter().map(|index| settings.claim_of(batch.received(*index))).collect();
    let claims = peek(settings, requests).await?;
    let fresh: HashSet<usize> = std::iter::zip(claimed, claims)
        .filter_map(|(index, claim)| (claim == Claim::Fresh).then_some(index))
        .collect();
    open.retain(|index| fresh.contains(index) || !slot(*index).is_empty());
    Ok(open)
}

/// Asks what a claim of these messages would answer now: it claims them and rolls back.
async fn peek<S: Inbox>(settings: &Settings<S>, requests: Vec<ClaimRequest>) -> Result<Vec<Claim>, Missing> {
    let (store, consumer) = (settings.store.clone(), Arc::clone(&settings.name));
    let work = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let claims = store.claim(&mut tx, &consumer, &requests).await;
            (tx, End::Rollback(claims))
        })
    }));
    match settings.unless_cut_off(work).await {
        None => Err(Missing::CutOff),
        Some(Ok(claims)) => claims.map_err(Missing::Store),
        Some(Err(
            TransactError::Begin(error) | TransactError::Commit(error) | TransactError::Unknown(error),
        )) => Err(Missing::Store(error)),
    }
}

/// Returns the messages whose calls follow each other: those of one key. Messages without a key have a chain each.
fn chains<S: Inbox>(batch: &Batch<S>, missing: &[usize]) -> Vec<Vec<usize>> {
    let mut chains: Vec<Vec<usize>> = Vec::new();
    let mut chain_of: HashMap<(&str, &[u8]), usize> = HashMap::new();
    for index in missing.iter().copied().filter(|index| batch.entries[*index].call.is_empty()) {
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
    chains
}

/// Calls in progress.
struct Making<'a, S: Inbox> {
    settings: &'a Settings<S>,
    batch: &'a Batch<S>,
    stop: &'a AtomicBool,
    has_begun: AtomicBool,
    /// A call has found that the other service is away: none begins behind it.
    is_closed: AtomicBool,
    since: Instant,
}

impl<'a, S: Inbox> Making<'a, S> {
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
            let entry = &self.batch.entries[index];
            let Duty::Handle(handler, meta) = self.batch.duty(self.settings, index) else { return None };
            let attempt = if index == 0 { self.batch.first_attempt } else { 1 };
            let run = Run { received: &entry.received, meta, attempt, called: None };
            self.batch.running.store(index, Ordering::Relaxed);
            match call(self.settings, &self.batch.starts, handler, run).await {
                Ok(called) => {
                    crash::point("consumer.called");
                    entry.call.set(Some(CallEnded::Made(called)));
                }
                Err(Fault::Message(failure)) => {
                    entry.call.set(Some(CallEnded::Failed(failure)));
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
