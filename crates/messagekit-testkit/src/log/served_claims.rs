//! Claims for workers elsewhere: where their consumer begins, what ends them, and where it goes on.

use std::time::Duration;

use messagekit::ErrorKind;
use messagekit::log::PartitionStart;
use messagekit_topic_store::{Claimed, OnDeleted, RecordClaimer, Which};

use super::LogFixture;
use super::fixture::{append, claim, claim_now, messages, offsets, topic_of};
use crate::store::until_through;
use crate::unique;

const LONG: Duration = Duration::from_secs(3_600);

/// A consumer begins where its first claim says, also when that claim finds nothing, and a later one changes nothing.
pub async fn consumer_begins_where_its_first_claim_says<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 3).await, unique("consumer"));
    let worker = |start| RecordClaimer::new(fixture.store(), &*consumer, topic.clone()).begin_at(start);
    assert_eq!(claim_now(&worker(PartitionStart::End), 10).await, [0_i64; 0]);
    append(&fixture.store(), &messages(&topic, ["later".into(), "last".into()])).await;
    assert_eq!(claim_now(&worker(PartitionStart::Earliest), 1).await, [3]);
    assert_eq!(claim_now(&worker(PartitionStart::End), 10).await, [4]);

    let other = |offset| {
        let worker = RecordClaimer::new(fixture.store(), format!("{consumer}.other"), topic.clone());
        worker.begin_at(PartitionStart::Offset(offset))
    };
    let outside = other(9).claim(10).await.expect_err("there is no such offset");
    assert_eq!((outside.kind(), outside.context("end")), (ErrorKind::OutOfRange, Some("5")));
    assert_eq!(claim_now(&other(2), 10).await, [2, 3, 4]);
}

/// A claim that was made for another process holds after the end of the one that made it, and is settled by what that process knows of it.
pub async fn claims_for_others_outlive_their_process<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 4).await, unique("consumer"));
    let of = |store| RecordClaimer::new(store, &*consumer, topic.clone()).lease(LONG).for_others();
    let server = of(fixture.another_process().await);
    let first = claim(&server, 2).await;
    drop(server);
    let server = of(fixture.store());
    assert_eq!(claim_now(&server, 1).await, [2]);
    let found = server.find(&first.id, 0).await.expect("the claim holds");
    assert_eq!(offsets(&found), [0, 1]);
    assert_eq!(found.until.as_microsecond(), first.until.as_microsecond());
    assert_eq!(
        until_through(|| server.acknowledge_up_to(0, 2)).await,
        0,
        "it is behind what the other claim holds"
    );
    assert_eq!(until_through(|| server.acknowledge_up_to(0, 0)).await, 1);
    assert_eq!(until_through(|| server.acknowledge_up_to(0, 0)).await, 1, "it is settled already");
    assert_eq!(offsets(&server.find(&first.id, 0).await.expect("the claim holds")), [1]);
    let unclaimed = server.acknowledge_up_to(0, 3).await.expect_err("it was not claimed");
    assert_eq!(unclaimed.kind(), ErrorKind::ClaimLost);
    let outside = server.acknowledge_up_to(0, 4).await.expect_err("there is no such record");
    assert_eq!(outside.kind(), ErrorKind::OutOfRange);
    until_through(|| server.acknowledge(&found, Which::Offsets(&[1]))).await;
    let gone = server.find(&first.id, 0).await.expect_err("it holds nothing");
    assert_eq!(gone.kind(), ErrorKind::ClaimLost);
    assert_eq!(claim_now(&server, 10).await, [3]);
}

/// A claim has at least one record, and no more once they have its bytes. The others may be claimed at once, in the first attempt.
pub async fn claim_has_no_more_bytes_than_it_asked_for<F: LogFixture>(fixture: &F) {
    let topic = fixture.topic().await;
    let large = "x".repeat(1_000);
    append(&fixture.store(), &messages(&topic, vec![large; 5])).await;
    let worker =
        |bytes| RecordClaimer::new(fixture.store(), unique("consumer"), topic.clone()).max_bytes(bytes);
    let few = worker(1_500);
    assert_eq!(offsets(&claim(&few, 10).await), [0, 1]);
    let next = claim(&few, 10).await;
    assert_eq!((offsets(&next), next.records[0].attempt), (vec![2, 3], 1));
    assert_eq!(claim_now(&few, 10).await, [4]);
    assert_eq!(claim_now(&worker(1), 10).await, [0]);
    assert_eq!(claim_now(&worker(1_000_000), 10).await, [0, 1, 2, 3, 4]);
}

/// After a deletion a consumer fails until it is reset, or goes on behind the last record.
pub async fn deletions_move_the_consumer_as_it_asks<F: LogFixture>(fixture: &F) {
    let (topic, consumer) = (topic_of(fixture, 6).await, unique("consumer"));
    let worker =
        |on_deleted| RecordClaimer::new(fixture.store(), &*consumer, topic.clone()).on_deleted(on_deleted);
    assert_eq!(claim_now(&worker(OnDeleted::Fail), 1).await, [0]);
    fixture.delete_before(&topic, 4).await;
    for _ in 0..2 {
        let fails = worker(OnDeleted::Fail).claim(10).await.expect_err("records are gone");
        assert_eq!((fails.kind(), fails.context("earliest")), (ErrorKind::OutOfRange, Some("4")));
    }
    let moved = until_through(|| async { worker(OnDeleted::Latest).claim(10).await }).await;
    assert_eq!(moved, Claimed::Deleted { partition: 0, offsets: 0..6 });
    assert_eq!(claim_now(&worker(OnDeleted::Fail), 10).await, [0_i64; 0]);
    append(&fixture.store(), &messages(&topic, ["later".into()])).await;
    assert_eq!(claim_now(&worker(OnDeleted::Fail), 10).await, [6]);
}
