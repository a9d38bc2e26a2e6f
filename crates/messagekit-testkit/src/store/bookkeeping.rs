//! Records of broker dead letters.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{
    Bookkeeping, BrokerDeadLetter, FailedMessageRows, OutboxRows, ReceivedMessage, Retries, SetAsideOutcome,
};
use messagekit::operations::{Action, ActionResult, FailedMessageState, FailedMessages, Origin};
use messagekit::{Claim, MessageId, Store, headers};

use super::fixture::{act, begin, commit, look, of, only_failed_message};
use super::{OperatorsFixture, dead, received, retry_in};
use crate::{DEADLINE, eventually, unique};

const LONG: Duration = Duration::from_secs(3_600);

/// Returns the dead letter that a bookkeeper found.
pub(super) fn found(scope: &str, origin: Origin, received: &ReceivedMessage) -> BrokerDeadLetter {
    BrokerDeadLetter {
        origin,
        scope: scope.to_owned(),
        return_to: Some(format!("{scope}.in")),
        received: received.clone(),
        failure: dead("rejected by its consumer"),
    }
}

/// Records a dead letter in its own transaction, which commits.
pub(super) async fn keep_now<S: Bookkeeping>(store: &S, found: &BrokerDeadLetter) -> SetAsideOutcome {
    let mut tx = begin(store).await;
    let outcome = store.keep(&mut tx, found).await.expect("what was found can be kept");
    commit(store, tx).await;
    outcome
}

/// A dead letter that is found twice in one scope is one failed message. It is dead whatever its failure says, and
/// holds its origin and its redelivery target.
pub async fn found_message_is_one_failed_message<F: OperatorsFixture>(fixture: &F) {
    let (store, scope, message) =
        (fixture.store(), unique("queue:billing"), received("billing", "{\"n\":1}"));
    let found =
        BrokerDeadLetter { failure: retry_in(Duration::ZERO), ..found(&scope, Origin::Queue, &message) };
    assert_eq!(keep_now(&store, &found).await, SetAsideOutcome::SetAside);
    assert_eq!(keep_now(&store, &found).await, SetAsideOutcome::AlreadySettled);
    let failed_message = only_failed_message(&store, &scope).await;
    assert_eq!((failed_message.state, failed_message.due), (FailedMessageState::Dead, None));
    assert_eq!((failed_message.origin, &failed_message.return_to), (Origin::Queue, &found.return_to));
    assert_eq!((&failed_message.consumer, &failed_message.received), (&scope, &message));
    assert_eq!(
        (failed_message.kind.as_str(), &failed_message.error),
        (found.failure.kind.as_str(), &found.failure.error)
    );
    assert_eq!(look(&store, &scope, &message).await, Claim::Held);
}

/// The scope is a part of the identity of a dead letter.
pub async fn dead_letters_of_two_scopes_are_two_failed_messages<F: OperatorsFixture>(fixture: &F) {
    let (store, message) = (fixture.store(), received("billing", "{}"));
    for scope in [unique("queue:billing"), unique("topic:billing")] {
        let found = found(&scope, Origin::Topic, &message);
        assert_eq!(keep_now(&store, &found).await, SetAsideOutcome::SetAside);
        only_failed_message(&store, &scope).await;
    }
}

/// The bookkeeper names a message that was redelivered n times `id+n`. Its next death is a new failed message.
pub async fn second_death_after_a_return_is_a_new_failed_message<F: OperatorsFixture>(fixture: &F) {
    let (store, scope, message) = (fixture.store(), unique("queue:billing"), received("billing", "{}"));
    let first = found(&scope, Origin::Queue, &message);
    assert_eq!(keep_now(&store, &first).await, SetAsideOutcome::SetAside);
    let again = MessageId::from_stored(&format!("{}+1", message.id.as_str()));
    let mut second = first.clone();
    second.received.id = again.clone();
    second.received.message.headers.set(headers::RETURNS, "1");
    assert_eq!(keep_now(&store, &second).await, SetAsideOutcome::SetAside);
    for found in [&first, &second] {
        assert_eq!(keep_now(&store, found).await, SetAsideOutcome::AlreadySettled);
    }
    let kept = store.list(&of(&scope), 10).await.expect("failed messages can be listed");
    assert_eq!(kept.iter().map(|head| &head.message_id).collect::<Vec<_>>(), [&again, &message.id]);
}

/// Marker and failed message share the commit.
pub async fn rolled_back_keep_leaves_nothing<F: OperatorsFixture>(fixture: &F) {
    let (store, scope, message) = (fixture.store(), unique("queue:billing"), received("billing", "{}"));
    let found = found(&scope, Origin::Queue, &message);
    let mut tx = begin(&store).await;
    store.keep(&mut tx, &found).await.expect("what was found can be kept");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(store.ids(&of(&scope), 10).await.expect("numbers are answered"), [0_i64; 0]);
    assert_eq!(keep_now(&store, &found).await, SetAsideOutcome::SetAside);
}

/// Only failed messages with a requested retry are leased, by the bookkeeper of their broker, for every queue.
pub async fn returns_are_leased_by_origin<F: OperatorsFixture>(fixture: &F) {
    let store = fixture.store();
    let scopes = [unique("queue:billing"), unique("queue:shipping"), unique("topic:billing")];
    let message = received("billing", "{}");
    let mut failed_messages = Vec::new();
    for (scope, origin) in scopes.iter().zip([Origin::Queue, Origin::Queue, Origin::Topic]) {
        keep_now(&store, &found(scope, origin, &message)).await;
        failed_messages.push(only_failed_message(&store, scope).await.id);
    }
    let lease = async |origin| store.lease_returns(origin, 10, LONG).await.expect("leases are answered");
    assert_eq!(lease(Origin::Queue).await, [], "nobody has asked");
    for id in &failed_messages {
        assert_eq!(act(&store, Action::Retry, *id).await, ActionResult::Done);
    }
    let one = store.lease_returns(Origin::Queue, 1, LONG).await.expect("leases are answered");
    assert_eq!(one.len(), 1, "at most so many");
    let mut queued: Vec<_> = one.into_iter().chain(lease(Origin::Queue).await).collect();
    queued.sort_by_key(|returning| returning.leased.failed_message);
    assert_eq!(queued.len(), 2);
    for (returning, (scope, failed_message)) in queued.iter().zip(scopes.iter().zip(&failed_messages)) {
        assert_eq!((&returning.scope, returning.leased.failed_message), (scope, *failed_message));
        assert_eq!((returning.origin, &returning.return_to), (Origin::Queue, &format!("{scope}.in")));
        assert_eq!(returning.leased.received, message);
        assert!(returning.leased.requested);
    }
    assert_eq!(lease(Origin::Queue).await, [], "each is leased once");
    let topic = lease(Origin::Topic).await;
    assert_eq!(
        topic.iter().map(|returning| returning.leased.failed_message).collect::<Vec<_>>(),
        failed_messages[2..]
    );
    for scope in &scopes {
        let own = store.lease(scope, 10, LONG).await.expect("leases are answered");
        assert_eq!(own, [], "no handler runs what goes back to a broker");
    }
}

/// Redeliveries to other targets and cancelled ones do not count.
pub async fn oldest_redelivery_is_the_oldest_open_one_of_its_target<F: OperatorsFixture>(fixture: &F) {
    let (store, scope, other) = (fixture.store(), unique("queue:billing"), unique("queue:other"));
    let way: Arc<str> = format!("{scope}.in").into();
    let ways = [Arc::from("elsewhere"), way];
    let age = async || store.oldest_return(&ways).await.expect("ages are answered");
    keep_now(&store, &found(&other, Origin::Queue, &received("billing", "{}"))).await;
    assert_eq!(age().await, None);
    let pause = Duration::from_millis(300);
    keep_now(&store, &found(&scope, Origin::Queue, &received("billing", "{}"))).await;
    let first = only_failed_message(&store, &scope).await.id;
    eventually("it grows older", DEADLINE, async || age().await.is_some_and(|age| age > pause)).await;
    keep_now(&store, &found(&scope, Origin::Queue, &received("billing", "{}"))).await;
    assert!(age().await.is_some_and(|age| age > pause && age < LONG), "the first one is the older");
    act(&store, Action::Discard, first).await;
    let failed_messages = store.ids(&of(&scope), 10).await.expect("failed messages can be listed");
    let second = *failed_messages.iter().find(|id| **id != first).expect("there are two");
    assert!(age().await.is_some());
    act(&store, Action::Discard, second).await;
    assert_eq!(age().await, None, "nothing goes back any more");
}

/// A published redelivery is resolved, a refused one is dead, and an outage hands it back.
pub async fn returns_are_answered_under_their_scope<F: OperatorsFixture>(fixture: &F) {
    let (store, scope) = (fixture.store(), unique("queue:billing"));
    let message = received("billing", "{}");
    keep_now(&store, &found(&scope, Origin::Queue, &message)).await;
    let id = only_failed_message(&store, &scope).await.id;
    let lease = async || {
        let mut leased = store.lease_returns(Origin::Queue, 1, LONG).await.expect("leases are answered");
        leased.pop().expect("it goes back")
    };
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    let first = lease().await;
    let back = store.hand_back(&first.scope, &first.leased, Duration::ZERO).await;
    assert!(back.expect("handing back is answered"));
    let second = lease().await;
    assert!(store.fail(&second.scope, &second.leased, &dead("no")).await.expect("fail is answered"));
    assert_eq!(only_failed_message(&store, &scope).await.state, FailedMessageState::Dead);

    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done);
    let third = lease().await;
    let mut tx = begin(&store).await;
    let resolved = store.resolve(&mut tx, &third.scope, &third.leased, &[]).await;
    assert!(resolved.expect("resolve is answered"));
    commit(&store, tx).await;
    assert_eq!(only_failed_message(&store, &scope).await.state, FailedMessageState::Resolved);
    assert_eq!(look(&store, &scope, &message).await, Claim::Done);
}

/// An operator can only discard a failed message without a redelivery target.
pub async fn failed_message_without_a_way_back_is_not_retried<F: OperatorsFixture>(fixture: &F) {
    let (store, scope) = (fixture.store(), unique("queue:billing"));
    let lost =
        BrokerDeadLetter { return_to: None, ..found(&scope, Origin::Queue, &received("billing", "{}")) };
    keep_now(&store, &lost).await;
    let id = only_failed_message(&store, &scope).await.id;
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::WrongState(FailedMessageState::Dead));
    assert_eq!(store.lease_returns(Origin::Queue, 1, LONG).await.expect("leases are answered"), []);
    assert_eq!(act(&store, Action::Discard, id).await, ActionResult::Done);
}

/// The failure of an event of this outbox is recorded with its reason, once for each scope.
pub async fn failure_of_an_own_event_is_noted_once<F: OperatorsFixture>(fixture: &F) {
    let (store, topic, event) = (fixture.store(), unique("topic"), received("unused", "{}"));
    let mut message = event.message.clone();
    message.topic = topic.into();
    let mut tx = begin(&store).await;
    store.write(&mut tx, &[message]).await.expect("the event can be written");
    commit(&store, tx).await;

    let mut tx = begin(&store).await;
    let ours = store.note_failure(&mut tx, &event.id, "queue:a", "rolled back").await;
    assert!(ours.expect("notes are answered"));
    store.rollback(tx).await.expect("a transaction can be rolled back");
    for (scope, reason) in [("queue:a", "rejected"), ("queue:a", "expired"), ("topic:b", "too_large")] {
        let mut tx = begin(&store).await;
        let ours = store.note_failure(&mut tx, &event.id, scope, reason).await;
        assert!(ours.expect("notes are answered"), "the event is from here");
        commit(&store, tx).await;
    }
    let mut failures = fixture.failures().await;
    failures.sort();
    let id = event.id.as_str();
    let expected = [("queue:a", "rejected"), ("topic:b", "too_large")];
    assert_eq!(
        failures,
        expected.map(|(scope, reason)| (id.to_owned(), scope.to_owned(), reason.to_owned()))
    );
}

/// The failure of an event of another outbox is not recorded.
pub async fn failure_of_a_strangers_event_is_not_noted<F: OperatorsFixture>(fixture: &F) {
    let (store, stranger) = (fixture.store(), received("billing", "{}"));
    let mut tx = begin(&store).await;
    let ours = store.note_failure(&mut tx, &stranger.id, "queue:a", "rejected").await;
    assert!(!ours.expect("notes are answered"));
    commit(&store, tx).await;
    assert_eq!(fixture.failures().await, []);
}
