//! One transaction over a range of messages.

use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::ConsumerStats;
use super::batch::{Batch, Entry, Runs};
use super::fault::{Fault, Run, cut_off, handle};
use super::key_lanes::key_lane_of;
use super::router::Task;
use super::settings::Settings;
use crate::store::{
    self, Claim, ClaimRequest, End, Failure, Inbox, Next, NextOffset, ReceivedMessage, SetAsideOutcome,
    TransactError,
};
use crate::{Error, crash};

/// How a transaction ended.
pub(super) enum Attempted {
    /// Committed as far as `through`, after so long inside handlers.
    Committed { through: usize, stats: ConsumerStats, took: Duration },
    /// The handler at `index` failed; nothing was kept.
    Failed { index: usize, fault: Fault },
    /// The message at `index` would have been parked, culprit or behind one, and there is no room; nothing was kept.
    Full { index: usize, failure: Option<Failure> },
    /// The store failed; nothing was kept, or nobody knows.
    Store { error: Error, handlers_ran: bool },
}

/// Tries to apply `range` of the batch in one transaction.
pub(super) async fn attempt<S: Inbox>(
    settings: &Arc<Settings<S>>,
    batch: &Arc<Batch<S>>,
    range: Range<usize>,
    runs: Runs,
) -> Attempted {
    let (shared, messages, index) = (Arc::clone(settings), Arc::clone(batch), range.start);
    let work = settings.store.transact(Box::new(move |mut tx| {
        Box::pin(async move {
            let end = apply(&shared, &messages, range, runs, &mut tx).await;
            (tx, end)
        })
    }));
    let Some(ended) = settings.unless_cut_off(work).await else {
        return Attempted::Failed { index, fault: cut_off() };
    };
    match ended {
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
    let range = batch.one_transaction(settings, range);
    let is_claimed = |index: &usize| {
        let waits = |task: &Task<S>| matches!(task, Task::SetAside(failure) if settings.blocks(failure));
        batch.is_handled(*index) || waits(&batch.entries[*index].task)
    };
    let requests: Vec<ClaimRequest> = range
        .clone()
        .filter(is_claimed)
        .map(|index| settings.claim_of(&batch.entries[index].received))
        .collect();
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
    let mut behind = Vec::new();
    let mut parks = None;
    let started = Instant::now();
    let mut handled_through = range.start;
    for index in range.clone() {
        if index < handled_through {
            continue;
        }
        let entry = &batch.entries[index];
        let failure = match (&entry.task, batch.failed.get(&index)) {
            (Task::SetAside(failure), None) if settings.blocks(failure) => {
                if claims[claimed] == Claim::Fresh {
                    let fault = Fault::Message(failure.clone());
                    return End::Rollback(Attempted::Failed { index, fault });
                }
                claimed += 1;
                stats.duplicates += 1;
                continue;
            }
            (_, Some(failure)) | (Task::SetAside(failure), None) => failure,
            (Task::Ignore, None) => {
                stats.ignored += 1;
                continue;
            }
            (Task::Handle { handler, meta }, None) => {
                match claims[claimed] {
                    Claim::Fresh => {}
                    Claim::KeyBlocked => {
                        claimed += 1;
                        behind.push(index);
                        continue;
                    }
                    Claim::Done | Claim::Held | Claim::Discarded => {
                        claimed += 1;
                        stats.duplicates += 1;
                        continue;
                    }
                }
                let time_is_up = stats.handled > 0 && started.elapsed() >= settings.batch.time;
                if time_is_up || !runs.may_run(index) {
                    through = index;
                    break;
                }
                let behind: Vec<Run<'_>> = match handler.takes_several() {
                    true => (index + 1..range.end)
                        .zip(&claims[claimed + 1..])
                        .take_while(|(index, claim)| **claim == Claim::Fresh && runs.may_run(*index))
                        .map_while(|(index, _)| batch.run_by(index, handler))
                        .collect(),
                    false => Vec::new(),
                };
                let attempt = if index == 0 { batch.first_attempt } else { 1 };
                let first = Run { received: &entry.received, meta, attempt };
                batch.running.store(index, Ordering::Relaxed);
                if let Err((at, fault)) = handle(settings, tx, handler, first, &behind).await {
                    return End::Rollback(Attempted::Failed { index: index + at, fault });
                }
                crash::point("consumer.handled");
                claimed += 1 + behind.len();
                stats.handled += 1 + behind.len() as u64;
                handled_through = index + 1 + behind.len();
                continue;
            }
        };
        if settings.parks(&entry.received, failure) {
            // It is the last of its range, and goes behind what is behind.
            parks = Some((index, failure));
            continue;
        }
        match store.set_aside(tx, consumer, &entry.received, failure).await {
            Ok(outcome) => count(&mut stats, outcome, failure),
            Err(error) => return give_up(error, stats.handled > 0),
        }
        crash::point("set_aside.written");
    }
    let took = started.elapsed();
    // Claims that did not run must leave the transaction, else they would commit as done, or as held without a failed message.
    let unused: Vec<ClaimRequest> = std::iter::zip(requests, claims)
        .skip(claimed)
        .filter_map(|(request, claim)| matches!(claim, Claim::Fresh | Claim::KeyBlocked).then_some(request))
        .collect();
    if !unused.is_empty()
        && let Err(error) = store.unclaim(tx, consumer, &unused).await
    {
        return give_up(error, true);
    }
    if !behind.is_empty() {
        let kept: Vec<&ReceivedMessage> =
            behind.iter().map(|index| &batch.entries[*index].received).collect();
        match store.park_behind(tx, consumer, &kept, settings.limits).await {
            Ok(limits) => match behind.get(limits) {
                None => stats.parked += behind.len() as u64,
                Some(index) => return End::Rollback(Attempted::Full { index: *index, failure: None }),
            },
            Err(error) => return give_up(error, stats.handled > 0),
        }
        crash::point("set_aside.written");
    }
    if let Some((index, failure)) = parks {
        match store.park(tx, consumer, &batch.entries[index].received, failure, settings.limits).await {
            Ok(SetAsideOutcome::Full) => {
                return End::Rollback(Attempted::Full { index, failure: Some(failure.clone()) });
            }
            Ok(outcome) => count(&mut stats, outcome, failure),
            Err(error) => return give_up(error, stats.handled > 0),
        }
        crash::point("set_aside.written");
    }
    if let Some(noted) = runs.absolves(range.start..through)
        && let Err(error) = store.clear_attempts(tx, consumer, &batch.entries[noted].received.id).await
    {
        return give_up(error, true);
    }
    let positions = positions(&batch.entries[range.start..through], settings.key_lanes);
    if !positions.is_empty()
        && let Err(error) = store.advance(tx, consumer, &positions).await
    {
        return give_up(error, true);
    }
    crash::point("consumer.advanced");
    End::Commit(Attempted::Committed { through, stats, took })
}

fn count(stats: &mut ConsumerStats, outcome: SetAsideOutcome, failure: &Failure) {
    match outcome {
        SetAsideOutcome::SetAside if failure.next == Next::Dead => stats.dead += 1,
        SetAsideOutcome::SetAside => stats.set_aside += 1,
        SetAsideOutcome::AlreadySettled | SetAsideOutcome::Full => stats.duplicates += 1,
    }
}

fn give_up(error: Error, handlers_ran: bool) -> End<Attempted> {
    End::Rollback(Attempted::Store { error, handlers_ran })
}

/// The position behind the last message of each partition.
fn positions<S: store::Store>(entries: &[Arc<Entry<S>>], key_lanes: NonZeroU32) -> Vec<NextOffset> {
    let mut positions: Vec<NextOffset> = Vec::new();
    for received in entries.iter().map(|entry| &entry.received) {
        let Some(place) = &received.place else { continue };
        let next = place.offset + 1;
        match positions
            .iter_mut()
            .find(|known| known.partition == place.partition && known.topic == place.topic)
        {
            Some(known) => known.next = known.next.max(next),
            None => positions.push(NextOffset {
                topic: Arc::clone(&place.topic),
                partition: place.partition,
                key_lane: key_lane_of(&received.message, Some(place), 0, key_lanes),
                next,
            }),
        }
    }
    positions
}
