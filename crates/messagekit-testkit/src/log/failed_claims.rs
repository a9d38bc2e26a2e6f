//! Failed messages that come back to the workers of their consumer.

use std::sync::Arc;
use std::time::Duration;

use messagekit::operations::{Action, FailedMessage, FailedMessageState};
use messagekit::{ErrorKind, Store as _};
use messagekit_topic_store::{Claimed, RecordClaimer, Which};

use super::LogFixture;
use super::fixture::{append, claim, claim_now, messages, offsets, topic_of};
use crate::store::{act, only_failed_message, until_through};
use crate::{DEADLINE, eventually, unique};

const LONG: Duration = Duration::from_secs(3_600);
/// Over before the next question.
const SHORT: Duration = Duration::from_millis(1);

/// A topic of two records, and a consumer whose first record is a dead failed message; the other one is settled.
struct Dead<F: LogFixture> {
    topic: Arc<str>,
    consumer: String,
    worker: RecordClaimer<F::Store>,
    store: F::Store,
}

impl<F: LogFixture> Dead<F> {
    async fn of(fixture: &F) -> Self {
        let (topic, consumer) = (topic_of(fixture, 2).await, unique("consumer"));
        let worker =
            RecordClaimer::new(fixture.store(), &*consumer, topic.clone()).lease(LONG).max_attempts(1);
        let first = claim(&worker, 2).await;
        until_through(|| worker.retry(&first, Which::Offsets(&[0]), LONG, "no stock")).await;
        until_through(|| worker.acknowledge(&first, Which::All)).await;
        assert_eq!(claim_now(&worker, 10).await, [0_i64; 0], "it is dead");
        Self { topic, consumer, worker, store: fixture.store() }
    }

    async fn failed(&self) -> FailedMessage {
        only_failed_message(&self.store, &self.consumer).await
    }

    async fn request_retry(&self) {
        act(&self.store, Action::Retry, self.failed().await.head.id).await;
    }

    async fn state(&self) -> FailedMessageState {
        self.failed().await.head.state
    }
}

/// A dead record whose retry an operator requests is claimed, once and by its own consumer, as the record that it was.
pub async fn requested_retry_is_claimed<F: LogFixture>(fixture: &F) {
    let dead = Dead::of(fixture).await;
    let lost =
        claim(&RecordClaimer::new(dead.store.clone(), unique("consumer"), dead.topic.clone()), 1).await;
    dead.request_retry().await;
    let again = claim(&dead.worker, 10).await;
    append(&dead.store, &messages(&dead.topic, ["later".into()])).await;
    assert_eq!((offsets(&again), again.records[0].attempt, again.partition), (vec![0], 1, 0));
    let (own, first) = (&again.records[0].record.message, &lost.records[0].record.message);
    assert_eq!((&own.payload, &own.key), (&first.payload, &first.key));
    assert_eq!(again.records[0].record.timestamp, lost.records[0].record.timestamp);
    assert_eq!(claim_now(&dead.worker, 10).await, [2], "a worker has it");
    assert_eq!(until_through(|| dead.worker.acknowledge(&again, Which::All)).await, 2);
    assert_eq!(dead.state().await, FailedMessageState::Resolved);
    let twice = dead.worker.acknowledge(&again, Which::All).await.expect_err("it is settled");
    assert_eq!(twice.kind(), ErrorKind::ClaimLost);
}

/// A worker of another topic, or of another partition, does not get it.
pub async fn requested_retry_stays_in_its_topic<F: LogFixture>(fixture: &F) {
    let dead = Dead::of(fixture).await;
    dead.request_retry().await;
    let other = topic_of(fixture, 1).await;
    let elsewhere = RecordClaimer::new(dead.store.clone(), &*dead.consumer, other).lease(LONG);
    assert_eq!(claim_now(&elsewhere, 10).await, [0], "its own record");
    assert_eq!(claim_now(&elsewhere, 10).await, [0_i64; 0]);
    assert_eq!(claim_now(&dead.worker, 10).await, [0]);
}

/// A worker gives it back, extends it and fails it as it does with a record. A retry that fails is dead again.
pub async fn requested_retry_is_settled_as_a_record<F: LogFixture>(fixture: &F) {
    let dead = Dead::of(fixture).await;
    dead.request_retry().await;
    let first = claim(&dead.worker, 10).await;
    let served = dead.worker.clone().for_others();
    assert_eq!(until_through(|| served.find(&first.id, 0)).await, first);
    until_through(|| dead.worker.release(&first, Which::All)).await;
    let second = claim(&dead.worker, 10).await;
    assert_eq!((offsets(&second), second.records[0].attempt), (vec![0], 1), "a release counts no attempt");
    let late = dead.worker.acknowledge(&first, Which::All).await.expect_err("it was given back");
    assert_eq!(late.kind(), ErrorKind::ClaimLost);
    let other = dead.worker.acknowledge(&second, Which::Offsets(&[1])).await.expect_err("not in the claim");
    assert_eq!(other.kind(), ErrorKind::ClaimLost);
    assert!(until_through(|| dead.worker.extend(&second)).await >= second.until);
    let mut tx = until_through(|| dead.store.begin()).await;
    dead.worker.acknowledge_in(&mut tx, &second, Which::All).await.expect("it is held");
    dead.store.rollback(tx).await.expect("rolls back");
    until_through(|| dead.worker.retry(&second, Which::All, SHORT, "no stock yet")).await;
    assert_eq!(dead.state().await, FailedMessageState::Dead);
    assert_eq!(dead.failed().await.head.error, "no stock yet");

    dead.request_retry().await;
    claim(&dead.worker, 10).await;
    assert_eq!(until_through(|| dead.worker.acknowledge_up_to(0, 0)).await, 2);
    assert_eq!(dead.state().await, FailedMessageState::Resolved, "by a worker that knows only its offset");
}

/// A worker that keeps it for longer than its lease loses it, and the attempts come to an end.
pub async fn requested_retry_is_lost_with_its_lease<F: LogFixture>(fixture: &F) {
    let dead = Dead::of(fixture).await;
    dead.request_retry().await;
    let lost = claim(&dead.worker.clone().lease(SHORT), 10).await;
    eventually("its attempts are used up", DEADLINE, async || {
        let found = until_through(|| dead.worker.claim(10)).await;
        assert!(matches!(found, Claimed::Nothing { .. }), "it has one attempt: {found:?}");
        dead.state().await == FailedMessageState::Dead
    })
    .await;
    let late = dead.worker.acknowledge(&lost, Which::All).await.expect_err("its lease has ended");
    assert_eq!(late.kind(), ErrorKind::ClaimLost);
}
