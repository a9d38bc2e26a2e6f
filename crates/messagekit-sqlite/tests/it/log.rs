//! Appends records, and reads them without consuming.

use std::collections::BTreeMap;
use std::future::poll_fn;

use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit::log::{Bounds, Log, LogReader, Page, PartitionStart};
use messagekit::{Envelope, ErrorKind, Event, Message, Outbox, Store, headers};
use serde::{Deserialize, Serialize};

use crate::support::*;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

async fn page(reader: &mut Box<dyn LogReader>) -> Page {
    in_time("a page", poll_fn(|cx| reader.poll_page(100, cx))).await.unwrap()
}

fn ids_of(page: Page) -> Vec<String> {
    let Page::Records(records) = page else { panic!("{page:?} instead of records") };
    records.iter().map(|record| record.message.headers.text(headers::ID).unwrap().to_owned()).collect()
}

#[tokio::test]
async fn an_event_exists_if_and_only_if_its_transaction_committed() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    let mut tx = store.begin().await.unwrap();
    outbox.add(&mut tx, OrderPlaced { order_id: "o-1".into() }).await.unwrap();
    store.rollback(tx).await.unwrap();
    assert_eq!(store.bounds("orders.order").await.unwrap_err().kind(), ErrorKind::NotFound);

    let mut tx = store.begin().await.unwrap();
    let events = (0..3).map(|n| Envelope::new(OrderPlaced { order_id: format!("o-{n}") }));
    let added = outbox.add_all(&mut tx, events).await.unwrap();
    outbox.commit(tx).await.unwrap();
    let bounds = store.bounds("orders.order").await.unwrap();
    assert_eq!(bounds.iter().map(|bounds| bounds.partition).collect::<Vec<_>>(), (0..8).collect::<Vec<_>>());
    assert_eq!(bounds.iter().map(|bounds| bounds.end).sum::<i64>(), 3);
    let found = number(&store, "SELECT count(*) FROM messagekit_topic_records WHERE headers IS NULL").await;
    assert_eq!((found, added.len()), (3, 3), "headers of our own events need no JSON");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offsets_have_no_gap_when_two_processes_append_at_once() {
    let fixture = Fixture::new().await;
    let other = fixture.other_process().await;
    let mut writers = tokio::task::JoinSet::new();
    for (name, store) in [("a", &fixture.store), ("b", &other)] {
        for task in 0..4 {
            let store = store.clone();
            writers.spawn(async move {
                for batch in 0..10 {
                    let key = format!("{name}{task}");
                    let messages: Vec<_> =
                        (0..5).map(|n| message("t", &format!("{key}-{}", batch * 5 + n), &key)).collect();
                    assert!(store.publisher().publish(&messages).await.iter().all(Result::is_ok));
                }
            });
        }
    }
    writers.join_all().await;
    let bounds = fixture.store.bounds("t").await.unwrap();
    assert_eq!(bounds.iter().map(|bounds| bounds.end).sum::<i64>(), 400);
    let starts: Vec<_> = bounds.iter().map(|bounds| (bounds.partition, PartitionStart::Earliest)).collect();
    let mut reader = fixture.store.open(&topic("t"), &starts).await.unwrap();
    let mut next: BTreeMap<i32, i64> = BTreeMap::new();
    let mut of_key: BTreeMap<_, usize> = BTreeMap::new();
    let mut ends = 0;
    while ends < bounds.len() {
        match page(&mut reader).await {
            Page::Records(records) => {
                for record in records {
                    let next = next.entry(record.position.partition).or_default();
                    assert_eq!(record.position.offset, *next);
                    *next += 1;
                    let id = record.message.headers.text(headers::ID).unwrap();
                    let count: usize = id.split_once('-').unwrap().1.parse().unwrap();
                    let expected = of_key.entry(record.message.key.clone()).or_default();
                    assert_eq!(count, *expected);
                    *expected += 1;
                }
            }
            Page::End { partition, at } => {
                assert_eq!(at, next.get(&partition).copied().unwrap_or(0));
                ends += 1;
            }
            Page::Gone { .. } => panic!("nothing was deleted"),
        }
    }
    assert_eq!(next.values().sum::<i64>(), 400);
}

#[tokio::test]
async fn a_reader_says_once_that_it_is_dry_and_wakes_for_new_records() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    append(store, "t", "m", 3).await;
    let Bounds { partition, .. } = *store.bounds("t").await.unwrap().iter().find(|b| b.end > 0).unwrap();
    let mut reader = store.open(&topic("t"), &[(partition, PartitionStart::Offset(1))]).await.unwrap();
    assert_eq!(ids_of(page(&mut reader).await), ["m-1", "m-2"]);
    assert_eq!(page(&mut reader).await, Page::End { partition, at: 3 });
    append(store, "t", "own", 1).await;
    assert_eq!(ids_of(page(&mut reader).await), ["own-0"]);
    assert_eq!(page(&mut reader).await, Page::End { partition, at: 4 });
    append(&fixture.other_process().await, "t", "other", 1).await;
    assert_eq!(ids_of(page(&mut reader).await), ["other-0"]);

    reader.seek(partition, 4);
    assert_eq!(ids_of(page(&mut reader).await), ["other-0"]);
    reader.pause(partition);
    reader.seek(partition, 0);
    assert!(poll_fn(|cx| std::task::Poll::Ready(reader.poll_page(1, cx).is_pending())).await);
    reader.resume(partition);
    assert_eq!(ids_of(page(&mut reader).await).len(), 5);
}

#[tokio::test]
async fn a_reader_tells_what_is_gone() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    append(&store, "t", "m", 5).await;
    let partition = store.bounds("t").await.unwrap().iter().find(|b| b.end > 0).unwrap().partition;
    execute(
        &store,
        "DELETE FROM messagekit_topic_records WHERE pos & 0xffffffffff < 3;
         UPDATE messagekit_topic_partitions SET log_start = 3 WHERE next_offset = 5",
    )
    .await;
    let mut reader = store.open(&topic("t"), &[(partition, PartitionStart::Offset(1))]).await.unwrap();
    assert_eq!(page(&mut reader).await, Page::Gone { partition, asked: 1, earliest: 3 });
    assert_eq!(ids_of(page(&mut reader).await), ["m-3", "m-4"]);
    assert_eq!(
        store.open(&topic("t"), &[(99, PartitionStart::End)]).await.err().unwrap().kind(),
        ErrorKind::NotFound
    );
    assert_eq!(store.open(&topic("none"), &[]).await.err().unwrap().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn what_can_never_be_kept_is_refused_with_what_stands_behind_it() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let publisher = store.publisher();
    let large = Message::new("t", vec![0; publisher.max_bytes() + 1]).with_key("k");
    let batch = [
        message("t", "first", "k"),
        large,
        message("t", "behind", "k"),
        message("t", "other-key", "j"),
        message("not a topic", "x", "k"),
        Message::new("t", "keyless").with_header(headers::ID, "keyless"),
    ];
    let results = publisher.publish(&batch).await;
    let refusals: Vec<_> =
        results.iter().map(|result| result.as_ref().err().map(|error| error.refusal)).collect();
    assert_eq!(
        refusals,
        [
            None,
            Some(PublishErrorKind::Rejected),
            Some(PublishErrorKind::KeyBlocked),
            None,
            Some(PublishErrorKind::Rejected),
            None
        ]
    );
    assert_eq!(results[1].as_ref().unwrap_err().error.kind(), ErrorKind::TooLarge);
    assert_eq!(number(&store, "SELECT count(*) FROM messagekit_topic_records").await, 3);
    assert!(publisher.publish(&[]).await.is_empty());
}

#[tokio::test]
async fn nothing_is_published_to_a_closed_store() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let publisher = store.publisher();
    store.close().await.unwrap();
    let result = publisher.publish(&[message("t", "m", "k")]).await.remove(0).unwrap_err();
    assert_eq!((result.refusal, result.error.kind()), (PublishErrorKind::Unavailable, ErrorKind::Closed));
}
