//! Faults of keys that are blocked, and of their order.

use std::time::Duration;

use messagekit::adapter::{
    ClaimRequest, FailedMessageRows, Failure, FailureKind, Markers, Next, ReceivedMessage, Retries,
    RetryLease, SetAsideOutcome,
};
use messagekit::operations::{Action, FailedMessageFilter, FailedMessageState, FailedMessages};
use messagekit::{Claim, Error, ParkingLimits, Position, Store};
use messagekit_testkit::store::request;

use super::markers::claim;
use super::methods::{at_once, faults};
use super::store::{Fault, FaultyStore, FaultyTx};
use super::{Row, Suite};

/// Limits without a bound.
const ENDLESS: ParkingLimits = ParkingLimits { per_key: u32::MAX, in_all: u32::MAX };

/// Changes a key as a database compares it when it treats the key as text.
fn set_text(key: &mut Option<bytes::Bytes>) {
    *key = key.take().map(|key| String::from_utf8_lossy(&key).trim().to_lowercase().into_bytes().into());
}

fn cut(key: &mut Option<bytes::Bytes>) {
    key.iter_mut().for_each(|key| key.truncate(255));
}

fn key_name(topic: &str, key: Option<&[u8]>) -> String {
    format!("{topic} {key:?}")
}

/// Parks messages behind their keys; where a key is free by now, the first of them as its head.
async fn park_as_head(
    faulty: &FaultyStore,
    tx: &mut FaultyTx,
    consumer: &str,
    behind: &[&ReceivedMessage],
    limits: ParkingLimits,
    next: Next,
) -> Result<usize, Error> {
    for received in behind {
        let filter = FailedMessageFilter {
            consumer: Some(consumer.to_owned()),
            key: received.message.key.as_ref().map(|key| key.to_vec()),
            is_open: true,
            ..FailedMessageFilter::default()
        };
        if faulty.inner.list(&filter, 1).await?.is_empty() {
            faulty.inner.unclaim(tx.inner(), consumer, &[request(received)]).await?;
            let failure = Failure::permanent(FailureKind::Failed, "behind a key that is free");
            let failure = Failure { next, ..failure };
            faulty.inner.park(tx.inner(), consumer, received, &failure, ENDLESS).await?;
            return Ok(1);
        }
    }
    faulty.inner.park_behind(tx.inner(), consumer, behind, limits).await
}

/// Leaves out the messages whose turn has come, except those that a fault keeps.
fn keep_promoted(leased: &mut Vec<RetryLease>, keeps: impl Fn(&RetryLease) -> bool) {
    leased.retain(|one| !(one.parked && one.attempt == 1 && !one.requested) || keeps(one));
}

/// Leases, where nothing is due, the first message in a state.
async fn lease_in(
    faulty: &FaultyStore,
    (consumer, max, lease): (&str, u32, Duration),
    state: FailedMessageState,
) -> Result<Vec<RetryLease>, Error> {
    let mut leased = faulty.inner.lease(consumer, max, lease).await?;
    let consumer = Some(consumer.to_owned());
    let filter = FailedMessageFilter { consumer, state: Some(state), ..FailedMessageFilter::default() };
    if leased.is_empty()
        && let Some(head) = faulty.inner.list(&filter, 1).await?.first()
    {
        leased.push(RetryLease {
            failed_message: head.id,
            token: 0,
            attempt: head.attempts + 1,
            crash_count: head.crash_count,
            alone: 0,
            requested: false,
            parked: true,
            received: faulty.inner.show(head.id).await?.received,
        });
    }
    Ok(leased)
}

/// Claims without keys, if they count as free.
fn free_keys(requests: &mut [ClaimRequest], is_free: bool) {
    requests.iter_mut().filter(|_| is_free).for_each(|request| request.key = None);
}

/// Claims messages whose key stays blocked.
async fn claim_blocked(
    faulty: &FaultyStore,
    tx: &mut FaultyTx,
    consumer: &str,
    requests: &[ClaimRequest],
    is_blocked: bool,
) -> Result<Vec<Claim>, Error> {
    claim(faulty, tx, consumer, requests, |_, request, answer| {
        let is_kept = is_blocked && request.key.is_some() && answer == Claim::Fresh;
        if is_kept { Claim::KeyBlocked } else { answer }
    })
    .await
}

pub(super) static ROWS: &[Row<Fault>] = faults! {
    /// A parked message does not block its key.
    Store parked_message_holds_its_key:
        call park: |faulty, tx, consumer, received, failure, _| {
            faulty.inner.set_aside(tx.inner(), consumer, received, failure).await
        };
    /// A key is blocked in every topic.
    Store parked_message_holds_its_key:
        arguments claim: |_, _, requests| {
            requests.iter_mut().for_each(|request| request.topic = "everything".into());
        };
        arguments park: |_, _, received, _, _| received.message.topic = "everything".into();
    /// A key is blocked for every consumer that has parked a message.
    Store parked_message_holds_its_key:
        arguments park: |faulty, consumer, received, _, _| {
            let key = key_name(&received.message.topic, received.message.key.as_deref());
            faulty.notes().names.extend([consumer.clone(), key]);
        };
        call claim: |faulty, tx, consumer, requests| {
            claim(faulty, tx, consumer, requests, |_, request, answer| {
                let names = &faulty.notes().names;
                let is_blocked = names.contains(&key_name(&request.topic, request.key.as_deref()));
                let is_wrong = answer == Claim::Fresh && is_blocked && names.contains(consumer);
                if is_wrong { Claim::KeyBlocked } else { answer }
            }).await
        };
    /// Keys are compared as text.
    Store blocked_keys_differ_by_every_byte:
        arguments claim: |_, _, requests| requests.iter_mut().for_each(|request| set_text(&mut request.key));
        arguments park: |_, _, received, _, _| set_text(&mut received.message.key);
    /// Long keys are compared by their first bytes.
    Store blocked_keys_differ_by_every_byte:
        arguments claim: |_, _, requests| requests.iter_mut().for_each(|request| cut(&mut request.key));
        arguments park: |_, _, received, _, _| cut(&mut received.message.key);
    /// A message behind its key is marked as held, without a failed message.
    Store message_behind_is_kept_and_waits: call park_behind: |_, _, _, behind, _| Ok(behind.len());
    /// Unclaiming a message behind its key leaves its marker.
    Store unclaimed_message_behind_leaves_nothing:
        call claim: |faulty, tx, consumer, requests| {
            claim(faulty, tx, consumer, requests, |_, request, answer| {
                if answer == Claim::KeyBlocked {
                    faulty.notes().ids.insert(request.id.clone());
                }
                answer
            }).await
        };
        arguments unclaim: |faulty, _, requests| {
            requests.retain(|request| !faulty.notes().ids.contains(&request.id));
        };
    /// Messages are parked at once, outside the transaction.
    Store rolled_back_park_holds_nothing:
        call park: |faulty, _, consumer, received, failure, limits| {
            at_once!(faulty.park(consumer, received, failure, limits))
        };
    /// A settled message is parked again.
    Store message_that_is_settled_is_not_parked:
        answer park: |_, outcome| *outcome = SetAsideOutcome::SetAside;
    /// Parking ignores the generation.
    Store culprit_of_a_range_is_parked_once_for_its_generation:
        arguments park: |_, _, _, failure, _| failure.generation = 0;
    /// Every parked message is dead.
    Store parked_culprit_is_due_as_its_failure_says:
        arguments park: |_, _, _, failure, _| failure.next = Next::Dead;
    /// A waiting message is not promoted when its turn has come.
    Store failed_messages_of_a_key_run_in_their_order:
        answer lease: |_, leased| keep_promoted(leased, |_| false);
    /// The failed messages of a key are in the order in which they were parked.
    Store failed_messages_of_a_key_are_ordered_by_position:
        arguments park: |faulty, _, received, _, _| *received = arrived(faulty, received);
        call park_behind: |faulty, tx, consumer, behind, limits| {
            let behind: Vec<_> = behind.iter().map(|received| arrived(faulty, received)).collect();
            let behind: Vec<_> = behind.iter().collect();
            faulty.inner.park_behind(tx.inner(), consumer, &behind, limits).await
        };
    /// A key whose first failed message is dead is free.
    Store dead_head_holds_its_key:
        arguments fail: |faulty, _, leased, failure| {
            faulty.notes().count += i64::from(leased.parked && failure.next == Next::Dead);
        };
        arguments claim: |faulty, _, requests| free_keys(requests, faulty.notes().count > 0);
    /// The next failed message runs before the previous one is committed.
    Store rolled_back_retry_keeps_its_key_blocked:
        arguments resolve: |faulty, _, _, _| faulty.notes().count += 1;
        call lease: |faulty, consumer, max, lease| {
            let has_resolved = faulty.notes().count > 0;
            match has_resolved {
                true => lease_in(faulty, (consumer, max, lease), FailedMessageState::Blocked).await,
                false => faulty.inner.lease(consumer, max, lease).await,
            }
        };
    /// A discard does not promote the next failed message.
    Store discarded_failed_message_leaves_its_key:
        answer lease: |faulty, leased| keep_promoted(leased, |_| !faulty.has_any(Action::Discard));
    /// A key stays blocked when its last failed message is discarded.
    Store discarded_failed_message_leaves_its_key:
        call claim: |faulty, tx, consumer, requests| {
            let has_discarded = faulty.has_any(Action::Discard);
            claim_blocked(faulty, tx, consumer, requests, has_discarded).await
        };
    /// An undone message does not block its key.
    Store undone_head_holds_its_key_again:
        arguments claim: |faulty, _, requests| free_keys(requests, faulty.has_any(Action::Undo));
    /// A due message runs although an earlier failed message of its key exists.
    Store undone_head_holds_its_key_again:
        call lease: |faulty, consumer, max, lease| {
            lease_in(faulty, (consumer, max, lease), FailedMessageState::RetryScheduled).await
        };
    /// A retried message runs before the head of its key.
    Store retried_message_overtakes_none_of_its_key:
        call lease: |faulty, consumer, max, lease| {
            lease_in(faulty, (consumer, max, lease), FailedMessageState::RetryScheduled).await
        };
    /// No message runs after the head of its key was retried.
    Store retried_head_is_followed_in_order:
        answer lease: |faulty, leased| keep_promoted(leased, |_| !faulty.has_any(Action::Retry));
    /// An undone message never runs by itself.
    Store keys_keep_their_order_through_random_lives:
        answer lease: |faulty, leased| {
            keep_promoted(leased, |one| !faulty.has(Action::Undo, one.failed_message));
        };
    /// A message whose first run had begun never runs by itself after an undo.
    Store begun_first_run_is_repeated_after_an_undo:
        answer lease: |faulty, leased| {
            leased.retain(|one| one.attempt == 1 || !faulty.has(Action::Undo, one.failed_message));
        };
    /// Every failing message fits into the parking limits.
    Store culprit_without_room_is_not_parked: arguments park: |_, _, _, _, limits| *limits = ENDLESS;
    /// Every message behind its key fits into the parking limits.
    Store messages_behind_are_kept_as_far_as_there_is_room:
        arguments park_behind: |_, _, _, limits| *limits = ENDLESS;
    /// The store decides at the claim whether a message has one before it.
    Store message_parked_behind_a_draining_key_still_runs:
        call park_behind: |faulty, tx, consumer, behind, limits| {
            park_as_head(faulty, tx, consumer, behind, limits, Next::Dead).await
        };
    /// A message that was claimed behind a key becomes its head, although the key was freed before it is parked.
    Store nothing_is_parked_behind_a_freed_key:
        call park_behind: |faulty, tx, consumer, behind, limits| {
            park_as_head(faulty, tx, consumer, behind, limits, Next::Retry(Duration::ZERO)).await
        };
    /// A run that takes every message leaves its key blocked: it counts itself once too few.
    Store run_of_all_frees_its_key:
        arguments resolve: |faulty, _, _, followers| faulty.notes().count += i64::from(!followers.is_empty());
        call claim: |faulty, tx, consumer, requests| {
            let has_run = faulty.notes().count > 0;
            claim_blocked(faulty, tx, consumer, requests, has_run).await
        };
};

/// Returns a message at the position of its arrival.
fn arrived(faulty: &FaultyStore, received: &ReceivedMessage) -> ReceivedMessage {
    let mut notes = faulty.notes();
    notes.count += i64::from(received.position.is_some());
    let position = received.position.clone().map(|position| Position { offset: notes.count, ..position });
    ReceivedMessage { position, ..received.clone() }
}
