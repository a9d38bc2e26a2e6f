//! Subscribers that receive, settle and stand by.

use messagekit::adapter::{Publisher, Source, Subscriber};
use messagekit::{ErrorKind, Message};
use messagekit_topic_store::{OnSources, TopicDefinitions};

use crate::support::*;

#[tokio::test]
async fn with_another_store_settling_moves_the_cursor_and_skips_none() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    append(&store, "t", "m", 5).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    let mut receipts: Vec<_> =
        deliveries(&mut subscriber, 5).await.into_iter().map(|delivery| Some(delivery.receipt)).collect();
    let mut take = |index: usize| vec![receipts[index].take().unwrap()];
    subscriber.settle(&mut take(1));
    subscriber.settle(&mut take(4));
    subscriber.settle(&mut take(0));
    eventually("the cursor", || async {
        number(&store, "SELECT max(next) FROM messagekit_consumer_cursors").await == 2
    })
    .await;
    subscriber.settle(&mut take(2));
    close(subscriber).await;

    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    assert_eq!(ids(&deliveries(&mut subscriber, 2).await), ["m-3", "m-4"]);
}

#[tokio::test]
async fn settling_writes_nothing_after_transaction_moved_the_cursor() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    append(&store, "t", "m", 3).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    let all = deliveries(&mut subscriber, 3).await;
    handle(&store, "billing", &all).await.unwrap();
    // This fence would refuse a write of the subscriber and end its lane.
    execute(&store, "UPDATE messagekit_consumer_cursors SET next = 0").await;
    subscriber.settle(&mut all.into_iter().map(|delivery| delivery.receipt).collect());
    append(&store, "t", "later", 1).await;
    assert_eq!(ids(&[delivery(&mut subscriber).await]), ["later-0"]);
    close(subscriber).await;
}

#[tokio::test]
async fn a_record_of_another_process_wakes_the_subscriber() {
    let fixture = Fixture::new().await;
    let other = fixture.other_process().await;
    let mut subscriber = bind(&fixture.store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    for round in 0..3 {
        append(&other, "t", &format!("{round}"), 2).await;
        let got = deliveries(&mut subscriber, 2).await;
        assert_eq!(ids(&got), [format!("{round}-0"), format!("{round}-1")]);
    }
}

#[tokio::test]
async fn a_topic_that_appears_later_is_read_from_its_first_record() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let mut subscriber = bind(&store, &["early", "late"], "billing").await;
    assigned(&mut subscriber).await;
    append(&store, "early", "e", 1).await;
    assert_eq!(ids(&[delivery(&mut subscriber).await]), ["e-0"]);
    append(&store, "late", "l", 1).await;
    let late = delivery(&mut subscriber).await;
    assert_eq!(ids(std::slice::from_ref(&late)), ["l-0"]);
    handle(&store, "billing", &[late]).await.unwrap();
    assert_eq!(
        number(&store, "SELECT sum(next) FROM messagekit_consumer_cursors").await,
        1,
        "it has a fenced cursor"
    );
}

const TRIM: &str = "DELETE FROM messagekit_topic_records WHERE pos & 0xffffffffff < 3;
    UPDATE messagekit_topic_partitions SET log_start = 3 WHERE next_offset >= 3";

#[tokio::test]
async fn a_consumer_starts_after_records_that_were_already_deleted() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    append(&store, "t", "m", 5).await;
    close({
        let mut subscriber = bind(&store, &["t"], "billing").await;
        assigned(&mut subscriber).await;
        subscriber
    })
    .await;
    execute(&store, TRIM).await;
    for consumer in ["billing", "new"] {
        let mut subscriber = bind(&store, &["t"], consumer).await;
        assigned(&mut subscriber).await;
        let rest = deliveries(&mut subscriber, 2).await;
        assert_eq!(ids(&rest), ["m-3", "m-4"]);
        handle(&store, consumer, &rest).await.unwrap();
    }
}

#[tokio::test]
async fn a_running_consumer_goes_on_behind_records_that_were_deleted() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    append(&store, "t", "m", 1).await;
    let first = delivery(&mut subscriber).await;
    handle(&store, "billing", &[first]).await.unwrap();
    // As if two more records had been appended and deleted between two reads.
    execute(
        &store,
        "UPDATE messagekit_topic_partitions SET next_offset = 3, log_start = 3 WHERE next_offset = 1",
    )
    .await;
    eventually("the cursor", || async {
        number(&store, "SELECT max(next) FROM messagekit_consumer_cursors").await == 3
    })
    .await;
    append(&store, "t", "later", 1).await;
    let later = delivery(&mut subscriber).await;
    assert_eq!(later.position.clone().unwrap().offset, 3);
    handle(&store, "billing", &[later]).await.unwrap();
}

#[tokio::test]
async fn a_reader_that_is_far_ahead_waits_for_its_handlers() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let big = vec![0_u8; 800_000];
    for n in 0..20 {
        let batch: Vec<_> = (0..100).map(|m| message("t", &format!("m-{}", n * 100 + m), "k")).collect();
        assert!(store.publisher().publish(&batch).await.iter().all(Result::is_ok));
        let batch = [Message::new("big", big.clone()).with_key("k")];
        assert!(store.publisher().publish(&batch).await.iter().all(Result::is_ok));
    }
    let mut subscriber = bind(&store, &["t", "big"], "billing").await;
    assigned(&mut subscriber).await;
    let all = deliveries(&mut subscriber, 2_020).await;
    assert!(is_quiet(&mut subscriber).await);
    handle(&store, "billing", &all).await.unwrap();
    close(subscriber).await;
}

#[tokio::test]
async fn a_closed_store_ends_its_subscribers() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    append(&store, "t", "m", 1).await;
    let mut works = bind(&store, &["t"], "billing").await;
    assigned(&mut works).await;
    let mut stands_by = bind(&store, &["t"], "billing").await;
    assert!(is_quiet(&mut stands_by).await);
    store.close().await.unwrap();
    for subscriber in [&mut works, &mut stands_by] {
        let error = loop {
            match incoming(subscriber).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => break error,
                None => panic!("ended without saying why"),
            }
        };
        assert_eq!(error.kind(), ErrorKind::Closed);
        assert!(incoming(subscriber).await.is_none());
    }
}

#[tokio::test]
async fn names_that_cannot_be_used_are_refused_at_once() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    let kind = async |topics: &[&str], consumer: &str| {
        let source = store.topics(topics.iter().copied());
        source.bind(consumer, &[]).await.unwrap_err().kind()
    };
    assert_eq!(kind(&["t"], "").await, ErrorKind::InvalidConfiguration);
    assert_eq!(kind(&["t"], "a\nb").await, ErrorKind::InvalidConfiguration);
    assert_eq!(kind(&[], "billing").await, ErrorKind::InvalidConfiguration);
    assert_eq!(kind(&["a topic"], "billing").await, ErrorKind::InvalidEvent);
}

/// Messages of the old topic must not move the cursor of the next one.
#[tokio::test]
async fn a_subscriber_begins_anew_in_the_next_topic_of_a_name() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    define(&store).await;
    append(&store, "t", "old", 5).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    let first = assigned(&mut subscriber).await;
    let old = deliveries(&mut subscriber, 5).await;
    store.drop_topic(&topic("t"), OnSources::Refuse).await.unwrap();
    define(&store).await;
    append(&store, "t", "new", 7).await;
    assert_eq!(lost(&mut subscriber).await, first);
    let reported = incoming(&mut subscriber).await;
    assert!(matches!(&reported, Some(Err(error)) if error.kind() == ErrorKind::Fenced), "{reported:?}");
    assert_ne!(assigned(&mut subscriber).await, first);
    drop(old);
    let new = deliveries(&mut subscriber, 7).await;
    assert_eq!(ids(&new), (0..7).map(|number| format!("new-{number}")).collect::<Vec<_>>());
    handle(&store, "billing", &new[..3]).await.unwrap();
    close(subscriber).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    assert_eq!(ids(&deliveries(&mut subscriber, 1).await), ["new-3"]);
}
