//! Claiming and settling.

use std::time::Duration;

use messagekit::log::PartitionStart;
use messagekit::operations::DatabaseStatus;
use messagekit::{ErrorKind, Store};
use messagekit_topic_store::{Claimed, RecordClaimId, RecordClaimer, Which};

use super::LogFixture;
use super::fixture::{append, claim, claim_now, messages, offsets, topic_of};
use crate::store::{begin, until_through};
use crate::unique;

/// What one worker has claimed, no other one gets; what it acknowledged, none.
pub async fn claimed_record_is_claimed_once<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 3).await, unique("consumer"));
    let worker = || RecordClaimer::new(fixture.store(), &*consumer, topic.clone());
    let (first, second) = (worker(), worker());
    let claimed = claim(&first, 2).await;
    assert_eq!(offsets(&claimed), [0, 1]);
    assert_eq!(claim_now(&second, 10).await, [2]);
    assert_eq!(claim_now(&first, 10).await, [0_i64; 0]);
    assert_eq!(until_through(|| first.acknowledge(&claimed, Which::All)).await, 2);
    assert_eq!(claim_now(&first, 10).await, [0_i64; 0]);
}

/// A new consumer gets what came before it.
pub async fn claims_begin_at_the_earliest_record<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 4).await;
    fixture.delete_before(&topic, 2).await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic);
    assert_eq!(claim_now(&worker, 10).await, [2, 3]);
}

/// A consumer that had claimed everything gets records that are appended later.
pub async fn new_records_are_claimed_when_they_come<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 1).await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic.clone());
    assert_eq!(claim_now(&worker, 10).await, [0]);
    assert_eq!(claim_now(&worker, 10).await, [0_i64; 0]);
    append(&fixture.store(), &messages(&topic, ["later".into(), "last".into()])).await;
    assert_eq!(claim_now(&worker, 10).await, [1, 2]);
}

/// Each consumer gets every record.
pub async fn consumers_claim_apart<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 2).await;
    for _ in 0..2 {
        let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic.clone());
        let claimed = claim(&worker, 10).await;
        assert_eq!(offsets(&claimed), [0, 1]);
        until_through(|| worker.acknowledge(&claimed, Which::All)).await;
    }
}

/// A claimed record has its key, headers and bytes.
pub async fn claimed_records_are_whole<F: LogFixture>(fixture: &F) {
    let topic = fixture.topic().await;
    let mut written = messages(&topic, ["plain".into()]);
    written[0].payload = vec![0, 159, 146, 150].into();
    append(&fixture.store(), &written).await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic.clone());
    let claimed = claim(&worker, 1).await;
    let found = &claimed.records[0];
    assert_eq!((found.record.position.offset, found.attempt, &found.record.position.topic), (0, 1, &topic));
    assert_eq!(found.record.message.payload, written[0].payload);
    assert_eq!(found.record.message.key, written[0].key);
    for (name, value) in written[0].headers.iter() {
        assert_eq!(found.record.message.headers.get(name), Some(value), "{name}");
    }
}

/// Longer than a test.
const LONG: Duration = Duration::from_secs(3_600);

/// A claim of `max` records has no record more.
pub async fn claim_holds_no_more_than_it_asked_for<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 5).await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic);
    let mut seen = Vec::new();
    for _ in 0..3 {
        let claimed = claim(&worker, 2).await;
        assert!(claimed.records.len() <= 2, "{claimed:?}");
        seen.extend(offsets(&claimed));
    }
    assert_eq!(seen, [0, 1, 2, 3, 4]);
}

/// Workers that claim at the same moment never get the same record.
pub async fn concurrent_claims_share_no_record<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 40).await, unique("consumer"));
    let workers: Vec<_> = (0..4)
        .map(|_| {
            let worker = RecordClaimer::new(fixture.store(), &*consumer, topic.clone());
            tokio::spawn(async move {
                let mut seen = Vec::new();
                loop {
                    let claimed = claim_now(&worker, 3).await;
                    if claimed.is_empty() {
                        return seen;
                    }
                    seen.extend(claimed);
                }
            })
        })
        .collect();
    let mut seen = Vec::new();
    for worker in workers {
        seen.extend(worker.await.expect("the worker ends"));
    }
    seen.sort_unstable();
    assert_eq!(seen, (0..40).collect::<Vec<i64>>());
}

/// In order, no worker gets a record while one in front of it is claimed or waits for its next attempt.
pub async fn ordered_records_follow_each_other<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 6).await, unique("consumer"));
    let worker = |store| RecordClaimer::new(store, &*consumer, topic.clone()).ordered();
    let (one, other) = (worker(fixture.store()), worker(fixture.another_process().await));
    let first = claim(&one, 2).await;
    assert_eq!((offsets(&first), claim_now(&other, 4).await), (vec![0, 1], vec![]));
    one.acknowledge(&first, Which::Offsets(&[0])).await.expect("acknowledges");
    assert_eq!(claim_now(&other, 4).await, [0; 0], "the other one is still claimed");
    one.retry(&first, Which::Offsets(&[1]), LONG, "no stock").await.expect("gives it back");
    assert_eq!(claim_now(&other, 4).await, [0; 0], "it is not due");
    one.reset(0, PartitionStart::Offset(1)).await.expect("goes back");
    let second = claim(&other, 4).await;
    assert_eq!((offsets(&second), claim_now(&one, 4).await), (vec![1, 2, 3, 4], vec![]));
    other.release(&second, Which::Offsets(&[3, 4])).await.expect("gives them back");
    other.acknowledge(&second, Which::Offsets(&[1, 2])).await.expect("acknowledges");
    assert_eq!(claim_now(&one, 4).await, [3, 4, 5], "those come first that were given back");
}

/// All workers of a consumer together hold no more records than they may.
pub async fn no_more_records_are_claimed_than_may_be_in_flight<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 9).await, unique("consumer"));
    let worker = |store| RecordClaimer::new(store, &*consumer, topic.clone()).max_in_flight(5);
    let (one, other) = (worker(fixture.store()), worker(fixture.another_process().await));
    let first = claim(&one, 3).await;
    assert_eq!(claim_now(&other, 3).await, [3, 4]);
    assert_eq!((claim_now(&one, 3).await, claim_now(&other, 3).await), (vec![], vec![]));
    one.acknowledge(&first, Which::Offsets(&[1])).await.expect("acknowledges");
    assert_eq!(claim_now(&other, 3).await, [5]);
    let limitless = RecordClaimer::new(fixture.store(), &*consumer, topic.clone());
    assert_eq!(claim_now(&limitless, 9).await, [6, 7, 8]);
}

/// Claims and acknowledgements are the database's, not a process's.
pub async fn claims_go_on_in_another_process<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 4).await, unique("consumer"));
    let here = RecordClaimer::new(fixture.store(), &*consumer, topic.clone());
    let there = RecordClaimer::new(fixture.another_process().await, &*consumer, topic.clone());
    let claimed = claim(&here, 3).await;
    until_through(|| here.acknowledge(&claimed, Which::Offsets(&[1]))).await;
    assert_eq!(claim_now(&there, 10).await, [3]);
    until_through(|| here.release(&claimed, Which::All)).await;
    assert_eq!(claim_now(&there, 10).await, [0, 2], "the settled one does not come back");
}

/// An acknowledgement is kept with the effects of its transaction, or not at all.
pub async fn acknowledgement_shares_the_commit<F: LogFixture>(fixture: &F) {
    let (topic, effect) = (topic_of(fixture, 1).await, unique("effect"));
    let store = fixture.store();
    let worker = RecordClaimer::new(store.clone(), unique("consumer"), topic);
    let claimed = claim(&worker, 1).await;

    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, &effect).await;
    worker.acknowledge_in(&mut tx, &claimed, Which::All).await.expect("the claim holds");
    store.rollback(tx).await.expect("rolls back");
    until_through(|| worker.release(&claimed, Which::All)).await;

    let claimed = claim(&worker, 1).await;
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, &effect).await;
    worker.acknowledge_in(&mut tx, &claimed, Which::All).await.expect("the claim holds");
    store.commit(tx).await.expect("commits");
    assert_eq!((fixture.effects(&effect).await, claim_now(&worker, 1).await), (1, vec![]));
}

/// Records that retention took before the consumer had settled them are told once, and claims go on behind them.
pub async fn deleted_records_are_reported<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 6).await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic.clone());
    let claimed = claim(&worker, 2).await;
    until_through(|| worker.acknowledge(&claimed, Which::Offsets(&[0]))).await;
    fixture.delete_before(&topic, 4).await;
    assert_eq!(until_through(|| worker.claim(10)).await, Claimed::Deleted { partition: 0, offsets: 1..4 });
    assert_eq!(claim_now(&worker, 10).await, [4, 5]);
}

/// A consumer that is moved back gets its records again, and what its earlier claims settle is lost.
pub async fn reset_ends_every_claim<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 3).await;
    let worker = RecordClaimer::new(fixture.store(), unique("consumer"), topic);
    let first = claim(&worker, 2).await;
    until_through(|| worker.acknowledge(&first, Which::All)).await;
    let second = claim(&worker, 1).await;
    assert_eq!(until_through(|| worker.reset(0, PartitionStart::Offset(1))).await, 1);
    let late = worker.acknowledge(&second, Which::All).await.expect_err("the claim is lost");
    assert_eq!(late.kind(), ErrorKind::ClaimLost);
    assert_eq!(late.context("claim"), Some(second.id.as_str()));
    assert_eq!(claim_now(&worker, 10).await, [1, 2]);
    let outside = worker.reset(0, PartitionStart::Offset(4)).await.expect_err("there is no such offset");
    assert_eq!((outside.kind(), outside.context("end")), (ErrorKind::OutOfRange, Some("3")));
    let mut foreign = second.clone();
    foreign.id = RecordClaimId::new();
    assert_eq!(
        worker.release(&foreign, Which::All).await.expect_err("the claim is lost").kind(),
        ErrorKind::ClaimLost
    );
}

/// A consumer that only claims records is known, with the records that it has not settled: those that retention has deleted do not count.
pub async fn status_has_the_positions_of_claims<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 6).await, unique("consumer"));
    let store = fixture.store();
    let position = async || {
        let all = store.consumer_statuses().await.expect("the consumers are read");
        let known = all.into_iter().find(|status| status.consumer == consumer)?;
        assert_eq!(known.positions.len(), 1, "{known:?}");
        let position = &known.positions[0];
        assert_eq!((&position.topic, position.partition), (&topic, 0));
        Some((position.next, position.behind))
    };
    assert_eq!(position().await, None, "it has claimed nothing");
    let worker = RecordClaimer::new(store.clone(), consumer.clone(), topic.clone());
    let claimed = claim(&worker, 4).await;
    assert_eq!(position().await, Some((0, Some(6))), "claimed records are not settled");
    until_through(|| worker.acknowledge(&claimed, Which::Offsets(&[0, 2]))).await;
    assert_eq!(position().await, Some((1, Some(4))), "one before the others, and one between them");
    fixture.delete_before(&topic, 4).await;
    assert_eq!(position().await, Some((4, Some(2))), "it reads on where the log begins now");
}
