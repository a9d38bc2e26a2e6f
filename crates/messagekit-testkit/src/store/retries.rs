//! The end of the run of a failed message.

use std::time::Duration;

use messagekit::adapter::{ReceivedMessage, Retries, RetryLease};
use messagekit::operations::{FailedMessageState, FailedMessages};
use messagekit::{Claim, Store};
use tokio::time::Instant;

use super::fixture::{begin, commit, leased_when_due, look, only_failed_message, set_aside_now};
use super::{FailedMessagesFixture, dead, received, retry_in};
use crate::unique;

const LONG: Duration = Duration::from_secs(3_600);

/// Sets a message aside that is due at once, and leases it.
async fn leased<F: FailedMessagesFixture>(
    fixture: &F,
    consumer: &str,
    lease: Duration,
) -> (ReceivedMessage, RetryLease) {
    let (store, message) = (fixture.store(), received("orders.order", "{}"));
    set_aside_now(&store, consumer, &message, &retry_in(Duration::ZERO)).await;
    let leased = store.lease(consumer, 1, lease).await.expect("leases are answered").remove(0);
    (message, leased)
}

/// Failed message, marker and effects change in one commit.
pub async fn resolve_marks_done<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (message, leased) = leased(fixture, &consumer, LONG).await;
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, message.id.as_str()).await;
    assert!(store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"));
    commit(&store, tx).await;
    assert_eq!(fixture.effects(message.id.as_str()).await, 1);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done);
    let failed_message = only_failed_message(&store, &consumer).await;
    assert_eq!((failed_message.state, failed_message.due), (FailedMessageState::Resolved, None));
    assert_eq!(store.lease(&consumer, 1, LONG).await.expect("leases are answered"), []);
}

/// A handler that fails at the end leaves failed message and lease unchanged.
pub async fn rolled_back_resolve_changes_nothing<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (message, leased) = leased(fixture, &consumer, LONG).await;
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, message.id.as_str()).await;
    assert!(store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"));
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(fixture.effects(message.id.as_str()).await, 0);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Held);
    assert_eq!(only_failed_message(&store, &consumer).await.state, FailedMessageState::RetryScheduled);
    let mut tx = begin(&store).await;
    assert!(
        store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"),
        "the lease still holds"
    );
    commit(&store, tx).await;
}

/// A worker whose lease expired cannot resolve the failed message, and its effects are rolled back.
pub async fn stale_token_cannot_resolve<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (message, stale) = leased(fixture, &consumer, Duration::from_millis(100)).await;
    let fresh = leased_when_due(&store, &consumer, LONG).await;
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, message.id.as_str()).await;
    assert!(
        !store.resolve(&mut tx, &consumer, &stale, &[]).await.expect("resolve is answered"),
        "the lease is over"
    );
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(look(&store, &consumer, &message).await, Claim::Held);
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, message.id.as_str()).await;
    assert!(store.resolve(&mut tx, &consumer, &fresh, &[]).await.expect("resolve is answered"));
    commit(&store, tx).await;
    assert_eq!(fixture.effects(message.id.as_str()).await, 1);
}

/// A worker whose lease expired can neither fail the failed message nor hand it back.
pub async fn stale_token_cannot_answer<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (_, stale) = leased(fixture, &consumer, Duration::from_millis(100)).await;
    let fresh = leased_when_due(&store, &consumer, LONG).await;
    assert!(!store.fail(&consumer, &stale, &dead("late")).await.expect("fail is answered"));
    assert!(!store.hand_back(&consumer, &stale, Duration::ZERO).await.expect("hand_back is answered"));
    let failed_message = only_failed_message(&store, &consumer).await;
    assert_eq!(
        (failed_message.state, failed_message.attempts),
        (FailedMessageState::RetryScheduled, fresh.attempt)
    );
    assert!(
        store.hand_back(&consumer, &fresh, LONG).await.expect("hand_back is answered"),
        "the new lease holds"
    );
}

/// A lease accepts one answer. A repeated answer changes nothing.
pub async fn answered_lease_is_over<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (_, leased) = leased(fixture, &consumer, LONG).await;
    assert!(store.hand_back(&consumer, &leased, LONG).await.expect("hand_back is answered"));
    let before = only_failed_message(&store, &consumer).await;
    assert!(!store.hand_back(&consumer, &leased, Duration::ZERO).await.expect("hand_back is answered"));
    assert!(!store.fail(&consumer, &leased, &dead("again")).await.expect("fail is answered"));
    let mut tx = begin(&store).await;
    assert!(!store.resolve(&mut tx, &consumer, &leased, &[]).await.expect("resolve is answered"));
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(only_failed_message(&store, &consumer).await, before);
}

/// A failed run is due again after the failure's delay, with its error and one more attempt.
pub async fn failed_retry_waits_until_due<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (_, leased) = leased(fixture, &consumer, LONG).await;
    let (delay, began) = (Duration::from_millis(200), Instant::now());
    let mut failure = retry_in(delay);
    "still no stock".clone_into(&mut failure.error);
    assert!(store.fail(&consumer, &leased, &failure).await.expect("fail is answered"));
    let failed_message = only_failed_message(&store, &consumer).await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, failed_message.error.as_str()),
        (FailedMessageState::RetryScheduled, 2, "still no stock")
    );
    let next = leased_when_due(&store, &consumer, LONG).await;
    assert!(began.elapsed() >= delay, "leased after {:?}", began.elapsed());
    assert_eq!((next.attempt, next.crash_count), (3, 0), "an answered lease is no kill");
}

/// A permanent failure leaves a dead message, which is still held.
pub async fn permanent_failure_of_a_retry_is_dead<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (message, leased) = leased(fixture, &consumer, LONG).await;
    let failure = dead("gave up");
    assert!(store.fail(&consumer, &leased, &failure).await.expect("fail is answered"));
    let failed_message = store.show(leased.failed_message).await.expect("the failed message can be shown");
    assert_eq!(
        (failed_message.state, failed_message.due, failed_message.error.as_str()),
        (FailedMessageState::Dead, None, "gave up")
    );
    assert_eq!(failed_message.fingerprint, failure.fingerprint(), "it is in the group of its last failure");
    assert_eq!(store.lease(&consumer, 1, LONG).await.expect("leases are answered"), []);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Held);
}

/// An outage or a clean stop costs no attempt.
pub async fn handed_back_failed_message_burns_no_attempt<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (_, first) = leased(fixture, &consumer, LONG).await;
    let (delay, began) = (Duration::from_millis(200), Instant::now());
    assert!(store.hand_back(&consumer, &first, delay).await.expect("hand_back is answered"));
    let failed_message = only_failed_message(&store, &consumer).await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, failed_message.crash_count),
        (FailedMessageState::RetryScheduled, first.attempt - 1, 0)
    );
    let second = leased_when_due(&store, &consumer, LONG).await;
    assert!(began.elapsed() >= delay, "leased after {:?}", began.elapsed());
    assert_eq!((second.attempt, second.crash_count), (first.attempt, 0));
}
