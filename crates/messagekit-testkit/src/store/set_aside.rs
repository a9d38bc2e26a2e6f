//! A message that is set aside instead of applied.

use std::time::Duration;

use messagekit::adapter::{FailedMessageRows, Failure, ReceivedMessage, Retries, SetAsideOutcome};
use messagekit::operations::{FailedMessageFilter, FailedMessageState, FailedMessages};
use messagekit::{Claim, Message, MessageId, Position, Store, headers};

use super::fixture::{
    apply_leased, begin, claim_in, claim_now, commit, look, look_again, of_key, only_failed_message,
    set_aside_now,
};
use super::{FailedMessagesFixture, dead, received, retry_in};
use crate::unique;

async fn failed_messages<S: FailedMessages>(store: &S, consumer: &str) -> usize {
    let filter =
        FailedMessageFilter { consumer: Some(consumer.to_owned()), ..FailedMessageFilter::default() };
    store.list(&filter, 100).await.expect("failed messages can be listed").len()
}

/// A late duplicate of a failed message is not applied.
pub async fn set_aside_holds_the_message<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    assert_eq!(set_aside_now(&store, &consumer, &message, &dead("no")).await, SetAsideOutcome::SetAside);
    assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Held);
    let failed_message = only_failed_message(&store, &consumer).await;
    assert_eq!((failed_message.state, failed_message.received.id), (FailedMessageState::Dead, message.id));
}

/// There is one failed message per consumer and message.
pub async fn set_aside_twice_is_already_settled<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    assert_eq!(set_aside_now(&store, &consumer, &message, &dead("first")).await, SetAsideOutcome::SetAside);
    assert_eq!(
        set_aside_now(&store, &consumer, &message, &dead("second")).await,
        SetAsideOutcome::AlreadySettled
    );
    assert_eq!(only_failed_message(&store, &consumer).await.error, "first");
}

/// A message that was applied meanwhile needs no failed message.
pub async fn set_aside_of_an_applied_message_is_already_settled<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    assert_eq!(claim_now(&store, &consumer, &message).await, Claim::Fresh);
    assert_eq!(
        set_aside_now(&store, &consumer, &message, &dead("late")).await,
        SetAsideOutcome::AlreadySettled
    );
    assert_eq!(failed_messages(&store, &consumer).await, 0);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done);
}

/// A claim of the same transaction counts as a committed one: a message is never applied and set aside at once.
pub async fn set_aside_behind_its_own_claim_is_already_settled<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let mut tx = begin(&store).await;
    assert_eq!(claim_in(&store, &mut tx, &consumer, &[&message]).await, [Claim::Fresh]);
    let outcome =
        store.set_aside(&mut tx, &consumer, &message, &dead("no")).await.expect("the question is answered");
    assert_eq!(outcome, SetAsideOutcome::AlreadySettled);
    commit(&store, tx).await;
    assert_eq!(failed_messages(&store, &consumer).await, 0);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done);
}

/// Key, header values and payload are bytes. Position, absent key and empty payload are preserved.
pub async fn set_aside_keeps_exact_bytes<F: FailedMessagesFixture>(fixture: &F) {
    let (store, every_byte) = (fixture.store(), (0..=u8::MAX).collect::<Vec<u8>>());
    let mut random = fastrand::Rng::with_seed(9);
    let large: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(900_000).collect();
    let awkward = Message::new("orders.order", every_byte.clone())
        .with_key(every_byte.clone())
        .with_header("binary", every_byte)
        .with_header("größe", "Łódź")
        .with_header("empty", "");
    let large = Message::new("orders.order", large).with_key("");
    let bare = Message::new("orders.order", "");
    for message in [awkward, large, bare] {
        let position = (!message.payload.is_empty()).then(|| Position {
            topic: "orders.order".into(),
            partition: 3,
            offset: i64::MAX - 1,
        });
        let received = ReceivedMessage { id: MessageId::from_stored(&unique("m")), message, position };
        let consumer = unique("consumer");
        set_aside_now(&store, &consumer, &received, &dead("no")).await;
        let kept = only_failed_message(&store, &consumer).await.received;
        assert!(kept == received, "{received:?} was kept as {kept:?}");
    }
}

/// A message without a usable id is stored under its position.
pub async fn set_aside_keeps_a_message_without_an_id<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let position = Position { topic: "orders.order".into(), partition: 0, offset: 41 };
    let message = Message::new("orders.order", "no JSON").with_header(headers::ID, vec![0xff]);
    let received = ReceivedMessage { id: MessageId::at(&position), message, position: Some(position) };
    assert_eq!(set_aside_now(&store, &consumer, &received, &dead("no id")).await, SetAsideOutcome::SetAside);
    assert_eq!(
        set_aside_now(&store, &consumer, &received, &dead("no id")).await,
        SetAsideOutcome::AlreadySettled
    );
    assert_eq!(only_failed_message(&store, &consumer).await.received, received);
}

/// Failed message and marker commit together or not at all.
pub async fn rolled_back_set_aside_leaves_nothing<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let mut tx = begin(&store).await;
    let outcome =
        store.set_aside(&mut tx, &consumer, &message, &dead("no")).await.expect("it can be set aside");
    assert_eq!(outcome, SetAsideOutcome::SetAside);
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(failed_messages(&store, &consumer).await, 0);
    assert_eq!(look(&store, &consumer, &message).await, Claim::Fresh);
}

/// Another consumer still gets the message.
pub async fn set_aside_is_for_one_consumer<F: FailedMessagesFixture>(fixture: &F) {
    let (store, message) = (fixture.store(), received("orders.order", "{}"));
    let (first, second) = (unique("consumer"), unique("consumer"));
    set_aside_now(&store, &first, &message, &dead("no")).await;
    assert_eq!(claim_now(&store, &second, &message).await, Claim::Fresh);
    assert_eq!(failed_messages(&store, &second).await, 0);
}

/// A message that was applied before its range is processed again is not settled. Its failure is set aside, and after its run the
/// message is applied under that generation.
pub async fn culprit_of_a_range_is_set_aside_once_for_its_generation<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let message = of_key("orders.order", "a", 5);
    claim_now(&store, &consumer, &message).await;
    let failure = Failure { generation: 2, ..retry_in(Duration::ZERO) };
    let smaller = Failure { generation: 0, ..failure.clone() };
    assert_eq!(set_aside_now(&store, &consumer, &message, &smaller).await, SetAsideOutcome::AlreadySettled);
    assert_eq!(set_aside_now(&store, &consumer, &message, &failure).await, SetAsideOutcome::SetAside);
    assert_eq!(set_aside_now(&store, &consumer, &message, &failure).await, SetAsideOutcome::AlreadySettled);
    assert_eq!(
        look_again(&store, &consumer, &message, 3).await,
        Claim::Held,
        "it belongs to its failed message"
    );
    let leased = store.lease(&consumer, 10, Duration::from_secs(3_600)).await.expect("leases are answered");
    apply_leased(fixture, &consumer, &leased[0]).await;
    assert_eq!(set_aside_now(&store, &consumer, &message, &failure).await, SetAsideOutcome::AlreadySettled);
    assert_eq!(
        look_again(&store, &consumer, &message, 2).await,
        Claim::Done,
        "it was applied under its generation"
    );
    assert_eq!(look_again(&store, &consumer, &message, 3).await, Claim::Fresh);
}
