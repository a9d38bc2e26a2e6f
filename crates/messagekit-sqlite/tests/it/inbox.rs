//! Markers, positions and failed messages, inside transactions of the engine.

use std::time::Duration;

use messagekit::adapter::{
    ClaimRequest, FailedMessageRows, Failure, FailureKind, Markers, Next, NextOffset, Positions,
    ReceivedMessage, Retries, SetAsideOutcome,
};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, FailedMessages, Operator,
};
use messagekit::{Claim, Message, Position, Store, claim};
use messagekit_sqlite::SqliteStore;

use crate::support::*;

const LEASE: Duration = Duration::from_secs(60);

fn request(id: &str) -> ClaimRequest {
    ClaimRequest { id: id.parse().unwrap(), topic: topic("t"), key: None, generation: 0 }
}

fn received(id: &str) -> ReceivedMessage {
    let mut message = Message::new("elsewhere", vec![0, 159, 146, 150]).with_key(vec![255, 0]);
    message.headers.set("raw", vec![254]);
    let position = Position { topic: topic("elsewhere"), partition: 3, offset: 99 };
    ReceivedMessage { id: id.parse().unwrap(), message, position: Some(position) }
}

fn retry_now() -> Failure {
    Failure { next: Next::Retry(Duration::ZERO), ..Failure::permanent(FailureKind::Failed, "no") }
}

async fn set_aside(store: &SqliteStore, id: &str, failure: &Failure) -> SetAsideOutcome {
    let mut tx = store.begin().await.unwrap();
    let outcome = store.set_aside(&mut tx, "billing", &received(id), failure).await.unwrap();
    store.commit(tx).await.unwrap();
    outcome
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_sixteen_concurrent_claims_one_is_fresh() {
    let fixture = Fixture::new().await;
    let other = fixture.other_process().await;
    let mut claims = tokio::task::JoinSet::new();
    for n in 0..16 {
        let store = if n % 2 == 0 { fixture.store.clone() } else { other.clone() };
        claims.spawn(async move {
            let mut tx = store.begin().await.unwrap();
            let answer = claim(&store, &mut tx, "billing", &"m-1".parse().unwrap()).await.unwrap();
            store.commit(tx).await.unwrap();
            answer
        });
    }
    let answers = claims.join_all().await;
    assert_eq!(answers.iter().filter(|answer| **answer == Claim::Fresh).count(), 1);
    assert_eq!(answers.iter().filter(|answer| **answer == Claim::Done).count(), 15);
}

#[tokio::test]
async fn a_rolled_back_claim_is_fresh_again() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    for _ in 0..2 {
        let mut tx = store.begin().await.unwrap();
        assert_eq!(store.claim(&mut tx, "billing", &[request("a")]).await.unwrap(), [Claim::Fresh]);
        store.rollback(tx).await.unwrap();
    }
    let mut tx = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut tx, "billing", &[request("a")]).await.unwrap(), [Claim::Fresh]);
    drop(tx);
    let mut tx = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut tx, "billing", &[request("a")]).await.unwrap(), [Claim::Fresh]);
}

#[tokio::test]
async fn claims_answer_in_input_order_and_can_be_withdrawn() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let mut tx = store.begin().await.unwrap();
    store.claim(&mut tx, "billing", &[request("b")]).await.unwrap();
    store.commit(tx).await.unwrap();

    let mut tx = store.begin().await.unwrap();
    let answers = store.claim(&mut tx, "billing", &["a", "b", "c", "a"].map(request)).await.unwrap();
    assert_eq!(answers, [Claim::Fresh, Claim::Done, Claim::Fresh, Claim::Done]);
    store.unclaim(&mut tx, "billing", &["b", "c"].map(request)).await.unwrap();
    store.commit(tx).await.unwrap();

    let mut tx = store.begin().await.unwrap();
    let answers = store.claim(&mut tx, "billing", &["a", "b", "c"].map(request)).await.unwrap();
    assert_eq!(answers, [Claim::Done, Claim::Done, Claim::Fresh]);
}

#[tokio::test]
async fn positions_in_topics_of_another_broker_are_remembered() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let position = |next| NextOffset { topic: topic("kafka.topic"), partition: 7, key_lane: 2, next };
    for next in [10, 4] {
        let mut tx = store.begin().await.unwrap();
        store.advance(&mut tx, "billing", &[position(next)]).await.unwrap();
        store.commit(tx).await.unwrap();
    }
    assert_eq!(store.next_of("billing", "kafka.topic").await.unwrap(), [position(10)]);
    assert!(store.next_of("shipping", "kafka.topic").await.unwrap().is_empty());
}

#[tokio::test]
async fn leased_failed_message_is_complete_and_resolves_with_marker() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    assert!(store.lease("billing", 1, LEASE).await.unwrap().is_empty());
    assert_eq!(set_aside(&store, "a", &retry_now()).await, SetAsideOutcome::SetAside);
    assert_eq!(set_aside(&store, "a", &retry_now()).await, SetAsideOutcome::AlreadySettled);

    let leased = store.lease("billing", 5, LEASE).await.unwrap();
    assert_eq!(leased.len(), 1);
    assert_eq!(leased[0].received, received("a"));
    assert_eq!((leased[0].attempt, leased[0].crash_count), (2, 0));
    assert!(store.lease("billing", 5, LEASE).await.unwrap().is_empty());

    let mut tx = store.begin().await.unwrap();
    assert_eq!(store.claim(&mut tx, "billing", &[request("a")]).await.unwrap(), [Claim::Held]);
    assert!(store.resolve(&mut tx, "billing", &leased[0], &[]).await.unwrap());
    store.rollback(tx).await.unwrap();

    let mut tx = store.begin().await.unwrap();
    assert!(store.resolve(&mut tx, "billing", &leased[0], &[]).await.unwrap());
    assert_eq!(store.claim(&mut tx, "billing", &[request("a")]).await.unwrap(), [Claim::Done]);
    store.commit(tx).await.unwrap();
    assert_eq!(store.show(leased[0].failed_message).await.unwrap().state, FailedMessageState::Resolved);
}

#[tokio::test]
async fn a_rollback_leaves_no_failed_message() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let mut tx = store.begin().await.unwrap();
    store.set_aside(&mut tx, "billing", &received("a"), &retry_now()).await.unwrap();
    store.rollback(tx).await.unwrap();
    assert!(store.list(&FailedMessageFilter::default(), 10).await.unwrap().is_empty());
    assert_eq!(set_aside(&store, "a", &retry_now()).await, SetAsideOutcome::SetAside);
}

#[tokio::test]
async fn a_failed_run_comes_back_and_a_run_handed_back_costs_nothing() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    set_aside(&store, "a", &retry_now()).await;
    let first = store.lease("billing", 1, LEASE).await.unwrap().remove(0);
    assert!(store.hand_back("billing", &first, Duration::ZERO).await.unwrap());
    let second = store.lease("billing", 1, LEASE).await.unwrap().remove(0);
    assert_eq!((second.attempt, second.crash_count), (first.attempt, 0));
    assert!(!store.hand_back("billing", &first, Duration::ZERO).await.unwrap(), "that lease is over");
    assert!(store.fail("billing", &second, &retry_now()).await.unwrap());
    let third = store.lease("billing", 1, LEASE).await.unwrap().remove(0);
    assert_eq!(third.attempt, first.attempt + 1);
    assert!(
        store.fail("billing", &third, &Failure::permanent(FailureKind::Permanent, "never")).await.unwrap()
    );
    assert!(store.lease("billing", 1, LEASE).await.unwrap().is_empty());
    let failed_message = store.show(third.failed_message).await.unwrap();
    assert_eq!((failed_message.state, failed_message.error.as_str()), (FailedMessageState::Dead, "never"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_retries_at_once_are_one() {
    let fixture = Fixture::new().await;
    let other = fixture.other_process().await;
    set_aside(&fixture.store, "a", &Failure::permanent(FailureKind::Failed, "no")).await;
    let id = fixture.store.list(&FailedMessageFilter::default(), 1).await.unwrap()[0].id;
    let ada = Operator::new("ada", "test");
    let ids = [id];
    let (first, second) =
        tokio::join!(fixture.store.act(Action::Retry, &ids, &ada), other.act(Action::Retry, &ids, &ada));
    let mut acted = [first.unwrap()[0], second.unwrap()[0]];
    acted.sort_by_key(|acted| *acted != ActionResult::Done);
    assert_eq!(acted, [ActionResult::Done, ActionResult::WrongState(FailedMessageState::RetryRequested)]);

    let (first, second) =
        tokio::join!(fixture.store.lease("billing", 1, LEASE), other.lease("billing", 1, LEASE));
    assert_eq!(first.unwrap().len() + second.unwrap().len(), 1);
}

#[tokio::test]
async fn a_lease_that_ends_without_an_answer_counts_a_kill() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    set_aside(&store, "a", &retry_now()).await;
    store.lease("billing", 1, Duration::ZERO).await.unwrap();
    let again = store.lease("billing", 1, LEASE).await.unwrap().remove(0);
    assert_eq!((again.attempt, again.crash_count), (3, 1));
}

/// The clock was set back by an hour, and the program that ran the retry is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_a_later_clock_retries_when_it_is_opened() {
    let fixture = Fixture::new().await;
    set_aside(&fixture.store, "a", &retry_now()).await;
    assert_eq!(fixture.store.lease("billing", 1, LEASE).await.unwrap().len(), 1);
    let conn = messagekit_sqlite::rusqlite::Connection::open(fixture.store.path()).unwrap();
    let later = "UPDATE messagekit_failed_messages SET due = due + 3600000000, running_since = running_since + 3600000000";
    assert_eq!(conn.execute(later, []).unwrap(), 1);
    let other = fixture.other_process().await;
    let again = other.lease("billing", 1, LEASE).await.unwrap();
    assert_eq!((again.len(), again[0].crash_count), (1, 1));
}
