//! Topics that leave the file, and topics that stay in it.

use messagekit::adapter::{OutboxRows, Publisher};
use messagekit::operations::{EventFilter, Operator, ReplayIds, ReplayOrder, Replays};
use messagekit::relay::{OutboxReader, Pending};
use messagekit::{ErrorKind, Store, headers};
use messagekit_sqlite::SqliteStore;

use super::outbox::{File, LEASE, TOPIC, event, page, pending, records, write};

#[tokio::test(flavor = "multi_thread")]
async fn relayed_topics_hold_for_every_writer_of_the_file() {
    let file = File::new();
    let before = file.open().await;
    write(&before, "before").await;
    let store = file.relayed().await;
    write(&store, "outbox").await;
    // Neither the store opened before the setting nor the one opened after names the topic.
    write(&before, "other").await;
    drop((before, store));
    let store = file.open().await;
    assert!(store.publisher().publish(&[event("publisher")]).await.iter().all(Result::is_ok));
    assert_eq!(pending(&store).await, ["outbox", "other", "publisher"]);
    assert_eq!(records(&store).await, 4, "it stays a topic of the file");
}

#[tokio::test(flavor = "multi_thread")]
async fn topic_that_stays_again_sends_what_waits_and_nothing_more() {
    let file = File::new();
    write(&file.relayed().await, "left").await;
    let store = SqliteStore::options().local_topics([TOPIC]).open(file.path()).await.unwrap();
    write(&store, "stays").await;
    assert_eq!(pending(&store).await, ["left"]);
    let entry = page(&store).await.rows[0].entry();
    store.published(&[entry]).await.unwrap();
    let over = store.lease("r1", LEASE).await.unwrap_err();
    assert_eq!(over.kind(), ErrorKind::Schema, "a relay has nothing to do any more");
    assert!(over.to_string().contains("SqliteOptions::relayed_topics"), "{over}");
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_leave_are_refused_before_the_file_is_made() {
    let file = File::new();
    let wrong =
        [("no topic", "a.b", ErrorKind::InvalidEvent), ("a.b", "a.b", ErrorKind::InvalidConfiguration)];
    for (leaving, staying, kind) in wrong {
        let options = SqliteStore::options().relayed_topics([leaving]).local_topics([staying]);
        let error = options.open(file.path()).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
    }
    assert!(!file.path().exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn republications_are_pending_too_and_distinguishable() {
    let file = File::new();
    let store = file.relayed().await;
    let event = event("e-1").with_header(headers::FREE_HEADERS, r#"{"tenant": "north"}"#);
    // Some times end with a zero.
    for number in 0..30 {
        let mut tx = store.begin().await.unwrap();
        let mut event = event.clone();
        event.headers.set(headers::ID, format!("e-{number}"));
        store.write(&mut tx, &[event]).await.unwrap();
        store.commit(tx).await.unwrap();
    }
    let filter = EventFilter::default();
    let order = ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: None };
    store.order_replay(&order, &Operator::new("ann", "test")).await.unwrap();
    let (lease, _) = store.lease_replay(LEASE).await.unwrap().unwrap();
    store.replay_step(lease, 30, LEASE, &|_: &_| panic!("events keep their ids")).await.unwrap();
    let page = page(&store).await;
    let (originals, copies) = page.rows.split_at(30);
    for (original, copy) in std::iter::zip(originals, copies) {
        let names: Vec<&str> = copy.message.headers.iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["id", "createdAt", "headers"]);
        assert!(original.seq < copy.seq && original.copy != copy.copy, "{page:?}");
    }
    let messages = |rows: &[Pending]| {
        let mut messages: Vec<_> = rows.iter().map(|row| row.message.clone()).collect();
        messages.sort_by_key(|message| message.headers.get(headers::ID).cloned());
        messages
    };
    assert_eq!(messages(originals), messages(copies), "createdAt of the original too");
}
