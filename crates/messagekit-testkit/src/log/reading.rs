//! Appending and reading.

use std::sync::Arc;

use messagekit::Store;
use messagekit::adapter::OutboxRows;
use messagekit::log::{Page, Start};

use super::LogFixture;
use super::fixture::{append, messages, pages, reader, texts, topic_of};
use crate::store::begin;
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
    let mut reader = reader(fixture, &topic, Start::Earliest).await;
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
    let mut reader = reader(fixture, &topic, Start::Offset(1)).await;
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
