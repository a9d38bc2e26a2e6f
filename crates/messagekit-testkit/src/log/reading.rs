//! Appending and reading.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use messagekit::adapter::OutboxRows;
use messagekit::log::{Page, PartitionStart};
use messagekit::{ErrorKind, Store};
use messagekit_topic_store::{RecordClaimer, Which};

use super::LogFixture;
use super::fixture::{append, claim, messages, pages, reader, texts, topic_of};
use crate::store::{begin, until_through};
use crate::{DEADLINE, eventually};

/// Records appear together, in order, with offsets without a gap, and not before their commit.
pub async fn append_is_seen_whole_after_its_commit<F: LogFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), topic_of(fixture, 1).await);
    let mut tx = begin(&store).await;
    store.write(&mut tx, &messages(&topic, ["a".into(), "b".into(), "c".into()])).await.expect("appends");
    assert_eq!(texts(fixture, &topic).await, [(0, "0".to_owned())], "before the commit");
    store.commit(tx).await.expect("commits");
    let all = [(0, "0"), (1, "a"), (2, "b"), (3, "c")].map(|(offset, text)| (offset, text.to_owned()));
    assert_eq!(texts(fixture, &topic).await, all);
}

/// The next append gets the offsets that a rolled back one had.
pub async fn rolled_back_append_takes_no_offset<F: LogFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), topic_of(fixture, 1).await);
    let mut tx = begin(&store).await;
    store.write(&mut tx, &messages(&topic, ["lost".into()])).await.expect("appends");
    store.rollback(tx).await.expect("rolls back");
    append(&store, &messages(&topic, ["kept".into()])).await;
    assert_eq!(texts(fixture, &topic).await, [(0, "0".to_owned()), (1, "kept".to_owned())]);
}

/// A reader that is always at the end sees every record of writers that commit at any moment.
pub async fn reader_skips_no_record_of_concurrent_writers<F: LogFixture>(fixture: &F) {
    const WRITERS: usize = 4;
    const EACH: usize = 15;
    let topic = topic_of(fixture, 1).await;
    let mut reader = reader(fixture, &topic, PartitionStart::Earliest).await;
    let writers: Vec<_> = (0..WRITERS)
        .map(|writer| {
            let (store, topic) = (fixture.store(), topic.clone());
            tokio::spawn(async move {
                for number in 0..EACH {
                    append(&store, &messages(&topic, [format!("{writer}-{number}")])).await;
                    tokio::task::yield_now().await;
                }
            })
        })
        .collect();
    let mut seen: Vec<i64> = Vec::new();
    let all: Vec<i64> = (0..=(WRITERS * EACH) as i64).collect();
    while seen.len() < all.len() {
        let next = std::future::poll_fn(|cx| reader.poll_page(7, cx));
        match tokio::time::timeout(DEADLINE, next).await.expect("the reader goes on").expect("reads") {
            Page::Records(records) => seen.extend(records.iter().map(|record| record.position.offset)),
            Page::End { at, .. } => assert!(at <= all.len() as i64, "{at}"),
            Page::Gone { .. } => panic!("nothing was deleted"),
        }
        assert_eq!(seen, all[..seen.len()]);
    }
    for writer in writers {
        writer.await.expect("the writer ends");
    }
}

/// A topic whose records were all deleted goes on at its next offset, also after it was opened again.
pub async fn next_offset_outlives_the_records<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 3).await;
    fixture.delete_before(&topic, 3).await;
    let bounds = fixture.log().bounds(&topic).await.expect("the topic is there")[0];
    assert_eq!((bounds.earliest, bounds.end), (3, 3));
    append(&fixture.another_process().await, &messages(&topic, ["after".into()])).await;
    assert_eq!(texts(fixture, &topic).await, [(3, "after".to_owned())]);
}

/// Deleted records are a page of their own, and reading goes on behind them.
pub async fn overtaken_reader_learns_what_was_deleted<F: LogFixture>(fixture: &F) {
    let topic: Arc<str> = topic_of(fixture, 5).await;
    let mut reader = reader(fixture, &topic, PartitionStart::Offset(1)).await;
    fixture.delete_before(&topic, 4).await;
    let mut pages = pages(&mut reader).await;
    let Page::Records(records) = pages.pop().expect("the rest is read") else { panic!("{pages:?}") };
    assert_eq!(records[0].position.offset, 4);
    assert_eq!(pages, [Page::Gone { partition: 0, asked: 1, earliest: 4 }]);
    let log = fixture.log();
    eventually("both bounds are kept", DEADLINE, async || {
        log.bounds(&topic).await.is_ok_and(|bounds| (bounds[0].earliest, bounds[0].end) == (4, 5))
    })
    .await;
}

/// A time finds the first record that the log stored then or later, and the end of a partition when there is none.
pub async fn times_find_the_first_record_since_then<F: LogFixture>(fixture: &F) {
    let topic = topic_of(fixture, 1).await;
    append(&fixture.store(), &messages(&topic, ["b".into()])).await;
    let mut reader = reader(fixture, &topic, PartitionStart::Earliest).await;
    let mut times = Vec::new();
    for page in pages(&mut reader).await {
        let Page::Records(records) = page else { panic!("nothing was deleted") };
        times.extend(records.iter().map(|record| record.timestamp.expect("a database knows its time")));
    }
    let log = fixture.log();
    let found = async |time: Timestamp| log.offsets_at(&topic, time).await.expect("the topic is there");
    assert_eq!(found(Timestamp::UNIX_EPOCH).await, [(0, 0)]);
    assert_eq!(found(times[0]).await, [(0, 0)]);
    // Two appends may have one time.
    assert_eq!(found(times[1]).await, [(0, i64::from(times[1] > times[0]))]);
    let later = times.iter().max().expect("two records").saturating_add(Duration::from_micros(1));
    assert_eq!(found(later.expect("a time of this century")).await, [(0, 2)]);
    fixture.delete_before(&topic, 1).await;
    assert_eq!(found(Timestamp::UNIX_EPOCH).await, [(0, 1)]);
    let unknown = log.offsets_at("no-such-topic", times[0]).await.expect_err("there is no such topic");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

/// What a consumer reads next is found by its name; a consumer that never began has no position.
pub async fn positions_of_a_consumer_are_found<F: LogFixture>(fixture: &F) {
    let (store, topic) = (fixture.store(), topic_of(fixture, 3).await);
    let worker = RecordClaimer::new(store, "replayed", topic.clone());
    let log = fixture.log();
    assert_eq!(log.committed_offsets(&topic, "replayed").await.expect("reads"), []);
    let claimed = claim(&worker, 2).await;
    until_through(|| worker.acknowledge(&claimed, Which::All)).await;
    assert_eq!(log.committed_offsets(&topic, "replayed").await.expect("reads"), [(0, 2)]);
    assert_eq!(log.committed_offsets(&topic, "another").await.expect("reads"), []);
    let unknown = log.committed_offsets("no-such-topic", "replayed").await.expect_err("no such topic");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}
