//! Runs: the head of a blocked key and the messages behind it, in one transaction.

use std::time::Duration;

use messagekit::adapter::{FailedMessageRows, Follower, FullInbox, ReceivedMessage, Retries, RetryLease};
use messagekit::operations::{Action, ActionResult, FailedMessageHead, FailedMessageState, FailedMessages};
use messagekit::{Claim, ErrorKind, MessageId, ParkingLimits, Store};

use super::fixture::{
    act, apply_leased, begin, behind_now, claim_in, commit, leased_when_due, look, of, of_key, park_now, runs,
};
use super::{FailedMessagesFixture, dead, retry_in};
use crate::{DEADLINE, unique};

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
/// A lease that expires while a case waits.
const SHORT: Duration = Duration::from_millis(200);
const TOPIC: &str = "orders.order";
const ALL: u32 = 100;

/// Blocks a key with `messages` messages, the first of them due at once, and leases that one.
async fn blocked<F: FailedMessagesFixture>(
    fixture: &F,
    consumer: &str,
    messages: i64,
    lease: Duration,
) -> (Vec<ReceivedMessage>, RetryLease) {
    let store = fixture.store();
    let messages: Vec<ReceivedMessage> = (0..messages).map(|offset| of_key(TOPIC, "a", 5 + offset)).collect();
    park_now(&store, consumer, &messages[0], &retry_in(Duration::ZERO)).await;
    behind_now(&store, consumer, &messages[1..].iter().collect::<Vec<_>>()).await;
    let leased = store.lease(consumer, 1, lease).await.expect("leases are answered").remove(0);
    (messages, leased)
}

async fn begun<S: FullInbox>(
    store: &S,
    consumer: &str,
    leased: &RetryLease,
    most: u32,
    lease: Duration,
) -> Option<u32> {
    store.begin_run(consumer, leased, most, lease).await.expect("the beginning of a run is answered")
}

/// Returns the messages that wait behind a failed message.
async fn waiting<S: FullInbox>(
    store: &S,
    consumer: &str,
    failed_message: i64,
    messages: u32,
    bytes: u64,
) -> Vec<Follower> {
    let mut tx = begin(store).await;
    let followers = store.followers(&mut tx, consumer, failed_message, messages, bytes).await;
    store.rollback(tx).await.expect("a transaction can be rolled back");
    followers.expect("what waits can be read")
}

fn ids(followers: &[Follower]) -> Vec<MessageId> {
    followers.iter().map(|follower| follower.received.id.clone()).collect()
}

/// Applies a run, and returns whether it was resolved. Rolls back otherwise.
async fn applied<F: FailedMessagesFixture>(
    fixture: &F,
    consumer: &str,
    leased: &RetryLease,
    followers: &[Follower],
) -> bool {
    let store = fixture.store();
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, leased.received.id.as_str()).await;
    for follower in followers {
        fixture.effect(&mut tx, follower.received.id.as_str()).await;
    }
    let resolved = store.resolve(&mut tx, consumer, leased, followers).await.expect("resolve is answered");
    match resolved {
        true => commit(&store, tx).await,
        false => store.rollback(tx).await.expect("a transaction can be rolled back"),
    }
    resolved
}

async fn head_of<S: FailedMessages>(
    store: &S,
    consumer: &str,
    message: &ReceivedMessage,
) -> FailedMessageHead {
    let failed_messages = store.list(&of(consumer), 1_000).await.expect("failed messages can be listed");
    failed_messages
        .into_iter()
        .find(|failed_message| failed_message.message_id == message.id)
        .expect("the message has failed")
}

/// Waiting messages are read in full and in the order of their key, whatever waits in other keys.
pub async fn run_takes_what_waits_in_order<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let other = of_key(TOPIC, "b", 1);
    park_now(&store, &consumer, &other, &dead("no")).await;
    behind_now(&store, &consumer, &[&of_key(TOPIC, "b", 7)]).await;
    let messages: Vec<ReceivedMessage> = [9, 10, 11, 100].map(|offset| of_key(TOPIC, "a", offset)).into();
    park_now(&store, &consumer, &messages[0], &retry_in(Duration::ZERO)).await;
    behind_now(&store, &consumer, &[&messages[3]]).await;
    behind_now(&store, &consumer, &[&messages[1], &messages[2]]).await;
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);

    let followers = waiting(&store, &consumer, leased.failed_message, ALL, u64::MAX).await;
    let read: Vec<&ReceivedMessage> = followers.iter().map(|follower| &follower.received).collect();
    assert_eq!(read, messages[1..].iter().collect::<Vec<_>>());
    assert!(followers.iter().all(|follower| follower.attempt == 1), "each would run for the first time");
    let behind = waiting(&store, &consumer, followers[0].failed_message, ALL, u64::MAX).await;
    assert_eq!(behind, followers[1..]);
    assert_eq!(waiting(&store, &consumer, followers[2].failed_message, ALL, u64::MAX).await, []);
    assert_eq!(waiting(&store, &unique("consumer"), leased.failed_message, ALL, u64::MAX).await, []);
}

/// A run keeps its limits of messages and bytes, and ends before a message that does not wait for its turn.
pub async fn run_takes_no_more_than_it_may<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (messages, leased) = blocked(fixture, &consumer, 5, LONG).await;
    let size = messages[1].message.payload.len() as u64;
    for (most, bytes, wanted) in
        [(2, u64::MAX, 2), (ALL, 3 * size, 3), (ALL, 3 * size - 1, 2), (ALL, size - 1, 0), (0, u64::MAX, 0)]
    {
        let followers = waiting(&store, &consumer, leased.failed_message, most, bytes).await;
        let expected: Vec<MessageId> =
            messages[1..][..wanted].iter().map(|message| message.id.clone()).collect();
        assert_eq!(ids(&followers), expected, "{most} messages of {bytes} bytes");
    }
    // Undo it before the second message, which is due by then.
    assert_eq!(act(&store, Action::Discard, leased.failed_message).await, ActionResult::Done);
    assert_eq!(head_of(&store, &consumer, &messages[1]).await.state, FailedMessageState::RetryScheduled);
    assert_eq!(act(&store, Action::Undo, leased.failed_message).await, ActionResult::Done);
    assert_eq!(waiting(&store, &consumer, leased.failed_message, ALL, u64::MAX).await, []);
}

/// Effects, markers and all failed messages of a run change in one commit. The next message of the key is due then.
pub async fn run_is_resolved_in_one_commit<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (messages, leased) = blocked(fixture, &consumer, 5, LONG).await;
    assert_eq!(begun(&store, &consumer, &leased, 4, LONG).await, Some(4));
    let followers = waiting(&store, &consumer, leased.failed_message, 3, u64::MAX).await;

    let mut tx = begin(&store).await;
    assert!(store.resolve(&mut tx, &consumer, &leased, &followers).await.expect("resolve is answered"));
    store.rollback(tx).await.expect("a transaction can be rolled back");
    for message in &messages {
        assert_eq!(look(&store, &consumer, message).await, Claim::Held, "nothing was kept");
    }
    assert_eq!(head_of(&store, &consumer, &messages[1]).await.state, FailedMessageState::Blocked);

    assert!(applied(fixture, &consumer, &leased, &followers).await, "the lease still holds");
    for message in &messages[..4] {
        assert_eq!(fixture.effects(message.id.as_str()).await, 1);
        assert_eq!(look(&store, &consumer, message).await, Claim::Done);
        let head = head_of(&store, &consumer, message).await;
        assert_eq!((head.state, head.due, head.crash_count), (FailedMessageState::Resolved, None, 0));
    }
    assert_eq!(head_of(&store, &consumer, &messages[2]).await.attempts, 0, "only failed runs count");
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 50)).await, Claim::KeyBlocked);
    let last = &messages[4];
    assert_eq!(head_of(&store, &consumer, last).await.holds_back, 0, "it is alone in its key");
    assert_eq!(runs(fixture, &consumer).await, std::slice::from_ref(&last.id));
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 50)).await, Claim::Fresh);
}

/// A run of all waiting messages frees its key.
pub async fn run_of_all_frees_its_key<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (messages, leased) = blocked(fixture, &consumer, 4, LONG).await;
    let followers = waiting(&store, &consumer, leased.failed_message, ALL, u64::MAX).await;
    assert_eq!(followers.len(), 3);
    assert!(applied(fixture, &consumer, &leased, &followers).await);
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 50)).await, Claim::Fresh);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), []);
    for message in &messages {
        assert_eq!(fixture.effects(message.id.as_str()).await, 1);
    }
}

/// Of two processes, only the last one to lease applies anything.
pub async fn run_needs_its_lease<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (messages, stale) = blocked(fixture, &consumer, 3, SHORT).await;
    let followers = waiting(&store, &consumer, stale.failed_message, ALL, u64::MAX).await;
    let fresh = leased_when_due(&store, &consumer, LONG).await;
    assert_eq!(begun(&store, &consumer, &stale, 3, LONG).await, None);
    assert!(!applied(fixture, &consumer, &stale, &followers).await, "the lease is over");
    for message in &messages {
        assert_eq!(fixture.effects(message.id.as_str()).await, 0);
        assert_eq!(look(&store, &consumer, message).await, Claim::Held);
    }
    assert!(applied(fixture, &consumer, &fresh, &followers).await);
    assert!(!applied(fixture, &consumer, &fresh, &followers).await, "a lease is answered once");
    for message in &messages {
        assert_eq!(fixture.effects(message.id.as_str()).await, 1);
    }
}

/// An action of an operator on any message of a run stops the commit of the run.
pub async fn operator_fences_a_run<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (messages, leased) = blocked(fixture, &consumer, 4, LONG).await;
    let followers = waiting(&store, &consumer, leased.failed_message, ALL, u64::MAX).await;
    assert_eq!(act(&store, Action::Discard, followers[1].failed_message).await, ActionResult::Done);
    assert!(!applied(fixture, &consumer, &leased, &followers).await, "one was given up");
    assert_eq!(act(&store, Action::Undo, followers[1].failed_message).await, ActionResult::Done);
    assert!(!applied(fixture, &consumer, &leased, &followers).await, "one was given up and brought back");
    assert_eq!(act(&store, Action::Discard, followers[1].failed_message).await, ActionResult::Done);
    for message in &messages {
        assert_eq!(fixture.effects(message.id.as_str()).await, 0);
    }

    let rest = waiting(&store, &consumer, leased.failed_message, ALL, u64::MAX).await;
    assert_eq!(ids(&rest), [messages[1].id.clone(), messages[3].id.clone()]);
    assert_eq!(act(&store, Action::Discard, leased.failed_message).await, ActionResult::Done);
    assert!(!applied(fixture, &consumer, &leased, &rest).await, "the head was given up");
    assert_eq!(runs(fixture, &consumer).await, ids(&rest));
    assert_eq!(look(&store, &consumer, &messages[2]).await, Claim::Discarded);
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 50)).await, Claim::Fresh);
}

/// A crash in a run counts for none of its messages. Each of them must run alone, and a crash then counts for that
/// message.
pub async fn death_in_a_run_is_blamed_on_no_message<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (messages, leased) = blocked(fixture, &consumer, 5, LONG).await;
    let seen =
        |leased: &RetryLease| (leased.failed_message, leased.attempt, leased.crash_count, leased.alone);
    assert_eq!(seen(&leased), (leased.failed_message, 2, 0, 0));
    assert_eq!(begun(&store, &consumer, &leased, 3, SHORT).await, Some(3));
    let again = leased_when_due(&store, &consumer, SHORT).await;
    assert_eq!(seen(&again), (leased.failed_message, 2, 0, 3), "that run counts for nothing");
    let again = leased_when_due(&store, &consumer, LONG).await;
    assert_eq!(seen(&again), (leased.failed_message, 3, 1, 3), "it ran alone");
    apply_leased(fixture, &consumer, &again).await;
    for (message, alone) in messages[1..].iter().zip([2, 1, 0, 0]) {
        let next = leased_when_due(&store, &consumer, LONG).await;
        assert_eq!((&next.received.id, next.crash_count, next.alone), (&message.id, 0, alone));
        apply_leased(fixture, &consumer, &next).await;
    }
}

/// A run of a single message is not recorded as a run, and its crash counts for that message.
pub async fn lone_message_begins_no_run<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (_, leased) = blocked(fixture, &consumer, 1, SHORT).await;
    assert_eq!(begun(&store, &consumer, &leased, ALL, SHORT).await, Some(1));
    let again = leased_when_due(&store, &consumer, LONG).await;
    assert_eq!(
        (again.failed_message, again.crash_count, again.attempt),
        (leased.failed_message, 1, leased.attempt + 1)
    );

    let consumer = unique("consumer");
    let (_, leased) = blocked(fixture, &consumer, 3, LONG).await;
    assert_eq!(begun(&store, &consumer, &leased, 3, LONG).await, Some(3));
    assert_eq!(begun(&store, &consumer, &leased, 1, SHORT).await, Some(1));
    let again = leased_when_due(&store, &consumer, LONG).await;
    assert_eq!((again.failed_message, again.crash_count, again.alone), (leased.failed_message, 1, 1));
}

/// A message that was claimed behind a key is claimed again when the key is freed before it is parked. The key stays free.
pub async fn nothing_is_parked_behind_a_freed_key<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (_, leased) = blocked(fixture, &consumer, 1, LONG).await;
    let later = of_key(TOPIC, "a", 50);
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[&later]).await, [Claim::KeyBlocked]);
    // Where only one transaction writes at a time, the key cannot be freed meanwhile.
    let mut drains = {
        let (fixture, consumer, leased) = (fixture.clone(), consumer.clone(), leased.clone());
        tokio::spawn(async move { apply_leased(&fixture, &consumer, &leased).await })
    };
    let is_freed = tokio::time::timeout(SHORT, &mut drains).await.is_ok();
    let parked = store.park_behind(&mut tx, &consumer, &[&later], ParkingLimits::default()).await;
    match parked {
        Ok(parked) => {
            assert!(!is_freed, "the key was freed before");
            assert_eq!(parked, 1);
            commit(&store, tx).await;
            drains.await.expect("the message before it is applied");
            assert_eq!(runs(fixture, &consumer).await, std::slice::from_ref(&later.id));
        }
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
            if !is_freed {
                // It was freed after the look, and by what had not to wait for this transaction.
                let drained = tokio::time::timeout(DEADLINE, drains).await;
                drained.expect("the key was freed").expect("the message before it is applied");
            }
            store.rollback(tx).await.expect("a transaction can be rolled back");
            let claim = look(&store, &consumer, &later).await;
            assert_eq!(claim, Claim::Fresh);
        }
    }
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 51)).await, Claim::Fresh);
}
