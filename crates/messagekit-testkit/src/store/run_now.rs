//! Retries of runs that are planned for later.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::Claim;
use messagekit::adapter::Retries;
use messagekit::operations::{
    Action, ActionResult, FailedMessageHead, FailedMessageState, FailedMessages, Pace, StateReason,
};

use super::fixture::{
    act, apply_leased, begin, behind_now, commit, look, of, of_key, only_failed_message, park_now, runs,
    set_aside_now, somebody,
};
use super::{FailedMessagesFixture, dead, received, retry_in};
use crate::unique;

/// Longer than any case takes.
const LONG: Duration = Duration::from_secs(3_600);
const TOPIC: &str = "orders.order";
const SCHEDULED: FailedMessageState = FailedMessageState::RetryScheduled;

/// Sets a message aside that is due in an hour, and returns its description.
async fn scheduled<F: FailedMessagesFixture>(fixture: &F, consumer: &str) -> FailedMessageHead {
    let store = fixture.store();
    set_aside_now(&store, consumer, &received(TOPIC, "{}"), &retry_in(LONG)).await;
    only_failed_message(&store, consumer).await.head
}

/// A scheduled run is due at once. Nothing else changes: a failure is no end, and the next run is scheduled as usual.
pub async fn scheduled_run_is_retried_now<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let before = scheduled(fixture, &consumer).await;
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), [], "it is not due");
    assert_eq!(act(&store, Action::Retry, before.id).await, ActionResult::Done);
    let after = only_failed_message(&store, &consumer).await.head;
    assert!(after.due < before.due, "{:?} is not before {:?}", after.due, before.due);
    assert_eq!(FailedMessageHead { due: before.due, ..after }, before, "only its time has changed");

    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered").remove(0);
    assert_eq!((leased.attempt, leased.requested), (before.attempts + 1, false));
    assert!(store.fail(&consumer, &leased, &retry_in(LONG)).await.expect("fail is answered"));
    let failed = only_failed_message(&store, &consumer).await.head;
    assert_eq!(
        (failed.state, failed.reason, failed.attempts),
        (SCHEDULED, StateReason::RunFailed, before.attempts + 1)
    );
    assert_eq!(act(&store, Action::Retry, before.id).await, ActionResult::Done, "it waits once more");
    assert_eq!(runs(fixture, &consumer).await, [before.message_id]);
}

/// A message that is due or leased is left alone: the second of two operators neither fences a run nor causes another.
pub async fn second_retry_of_a_planned_run_changes_nothing<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let id = scheduled(fixture, &consumer).await.id;
    let again = async || act(&store, Action::Retry, id).await;
    assert_eq!(again().await, ActionResult::Done);
    assert_eq!(again().await, ActionResult::WrongState(SCHEDULED), "it is due");
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!(again().await, ActionResult::WrongState(SCHEDULED), "it runs, or its process has ended");
    assert_eq!(store.lease(&consumer, 1, LONG).await.expect("leases are answered"), []);
    let mut tx = begin(&store).await;
    let resolved = store.resolve(&mut tx, &consumer, &leased, &[]).await;
    assert!(resolved.expect("resolve is answered"), "the retries have not fenced the run");
    commit(&store, tx).await;
    assert_eq!(again().await, ActionResult::WrongState(FailedMessageState::Resolved));
}

/// Of several operators at once, one retry is accepted, and several processes find one run.
pub async fn retries_at_once_of_a_planned_run_cause_one_run<F: FailedMessagesFixture>(fixture: &F) {
    for _ in 0..5 {
        let (store, consumer) = (fixture.store(), unique("consumer"));
        let id = scheduled(fixture, &consumer).await.id;
        let operators: Vec<_> = (0..4)
            .map(|_| {
                let store = fixture.store();
                tokio::spawn(async move { act(&store, Action::Retry, id).await })
            })
            .collect();
        let mut answers = Vec::new();
        for operator in operators {
            answers.push(operator.await.expect("an operator is answered"));
        }
        let done = answers.iter().filter(|answer| **answer == ActionResult::Done).count();
        assert_eq!(done, 1, "{answers:?}");
        let mut leases = Vec::new();
        for _ in 0..4 {
            leases.extend(store.lease(&consumer, 1, LONG).await.expect("leases are answered"));
        }
        assert_eq!(leases.len(), 1, "one process runs it");
        apply_leased(fixture, &consumer, &leases[0]).await;
        assert_eq!(fixture.effects(leases[0].received.id.as_str()).await, 1);
    }
}

/// A retry that waits for its pace, or for a dependency, is due at once too, and stays the run that an operator requested.
pub async fn requested_run_is_retried_now<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received(TOPIC, "{}"), &dead("no")).await;
    let id = only_failed_message(&store, &consumer).await.id;
    let later = Pace::per_second(1).expect("a pace").behind(600, Duration::ZERO);
    let paced = store.retry_at_pace(&[id], later, &somebody()).await.expect("acts are answered");
    assert_eq!(paced, [ActionResult::Done]);
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done, "it waits for its pace");
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert!(store.hand_back(&consumer, &leased, LONG).await.expect("handing back is answered"));
    assert_eq!(act(&store, Action::Retry, id).await, ActionResult::Done, "it waits for a dependency");
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!((leased.attempt, leased.requested), (1, true));
    assert!(store.fail(&consumer, &leased, &retry_in(LONG)).await.expect("fail is answered"));
    assert_eq!(only_failed_message(&store, &consumer).await.state, FailedMessageState::Dead);
}

/// A pace never postpones a run.
pub async fn pace_postpones_no_planned_run<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let before = scheduled(fixture, &consumer).await;
    let paced = async |behind| {
        let pace = Pace::per_second(1).expect("a pace").behind(behind, Duration::ZERO);
        let paced = store.retry_at_pace(&[before.id], pace, &somebody()).await.expect("acts are answered");
        assert_eq!(paced, [ActionResult::Done]);
        only_failed_message(&store, &consumer).await.due.expect("it is due some time")
    };
    let planned = before.due.expect("it is due in an hour");
    assert_eq!(paced(7_200).await, planned, "its turn would come after its time");
    let sooner: Timestamp = paced(600).await;
    assert!(sooner < planned, "{sooner} is not before {planned}");
    assert_eq!(
        store.lease(&consumer, 1, LONG).await.expect("leases are answered"),
        [],
        "its turn is to come"
    );
}

/// The head of a key is retried before its time. The messages that wait behind it follow in their order.
pub async fn retried_head_is_followed_in_order<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let [first, second, third] = [5, 6, 7].map(|offset| of_key(TOPIC, "a", offset));
    park_now(&store, &consumer, &first, &retry_in(LONG)).await;
    behind_now(&store, &consumer, &[&second, &third]).await;
    let listed = store.list(&of(&consumer), 10).await.expect("failed messages can be listed");
    let id_of = |offset: usize| listed[2 - offset].id;
    for waiting in [id_of(1), id_of(2)] {
        let refused = ActionResult::WrongState(FailedMessageState::Blocked);
        assert_eq!(act(&store, Action::Retry, waiting).await, refused, "it would overtake its key");
    }
    assert_eq!(act(&store, Action::Retry, id_of(0)).await, ActionResult::Done);
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 8)).await, Claim::KeyBlocked);
    assert_eq!(runs(fixture, &consumer).await, [first.id, second.id, third.id]);
    assert_eq!(look(&store, &consumer, &of_key(TOPIC, "a", 8)).await, Claim::Fresh);
}

/// A scheduled message with an open one before it in its key, which an operator has brought back, still waits for that one.
pub async fn retried_message_overtakes_none_of_its_key<F: FailedMessagesFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (first, second) = (of_key(TOPIC, "a", 5), of_key(TOPIC, "a", 6));
    park_now(&store, &consumer, &first, &dead("no")).await;
    behind_now(&store, &consumer, &[&second]).await;
    let listed = store.list(&of(&consumer), 10).await.expect("failed messages can be listed");
    let (head, next) = (listed[1].id, listed[0].id);
    assert_eq!(act(&store, Action::Discard, head).await, ActionResult::Done);
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert!(store.fail(&consumer, &leased, &retry_in(LONG)).await.expect("fail is answered"));
    assert_eq!(act(&store, Action::Undo, head).await, ActionResult::Done);
    assert_eq!(act(&store, Action::Retry, next).await, ActionResult::Done);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), [], "one is before it");
    assert_eq!(act(&store, Action::Retry, head).await, ActionResult::Done);
    assert_eq!(runs(fixture, &consumer).await, [first.id, second.id]);
}
