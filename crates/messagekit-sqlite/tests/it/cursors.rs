//! The fenced cursor.

use std::time::Duration;

use messagekit::adapter::{NextOffset, Positions, Subscriber};
use messagekit::{ErrorKind, Store};
use messagekit_sqlite::SqliteStore;

use crate::support::*;

const CURSOR: &str = "SELECT max(next) FROM messagekit_consumer_cursors";

#[tokio::test]
async fn the_cursor_moves_with_the_commit_and_not_without() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    append(&store, "t", "m", 3).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    let all = deliveries(&mut subscriber, 3).await;

    let mut tx = store.begin().await.unwrap();
    store.advance(&mut tx, "billing", &[behind(&all[0])]).await.unwrap();
    store.rollback(tx).await.unwrap();
    assert_eq!(number(&store, CURSOR).await, 0);

    handle(&store, "billing", &all[..2]).await.unwrap();
    assert_eq!(number(&store, CURSOR).await, 2);
    handle(&store, "billing", &all[2..]).await.unwrap();
    assert_eq!(number(&store, CURSOR).await, 3);
    handle(&store, "billing", &all[..1]).await.unwrap();
    assert_eq!(number(&store, CURSOR).await, 3, "a position behind the cursor moves nothing");
}

#[tokio::test]
async fn a_cursor_that_another_process_moved_fences_the_commit() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    append(store, "t", "m", 4).await;
    let mut subscriber = bind(store, &["t"], "billing").await;
    let first_lane = assigned(&mut subscriber).await;
    let all = deliveries(&mut subscriber, 4).await;

    let other = fixture.other_process().await;
    execute(
        &other,
        "UPDATE messagekit_consumer_cursors SET next = 2 WHERE tp_id =
        (SELECT id FROM messagekit_topic_partitions WHERE next_offset > 0)",
    )
    .await;

    let fenced = handle(store, "billing", &all).await.unwrap_err();
    assert_eq!(fenced.kind(), ErrorKind::Fenced);
    assert_eq!(number(store, CURSOR).await, 2);
    assert_eq!(
        number(store, "SELECT count(*) FROM messagekit_consumer_offsets").await,
        0,
        "nothing of it was kept"
    );

    subscriber.release(&mut all.into_iter().map(|delivery| delivery.receipt).collect());
    assert_eq!(lost(&mut subscriber).await, first_lane);
    assert!(assigned(&mut subscriber).await.epoch > first_lane.epoch);
    let rest = deliveries(&mut subscriber, 2).await;
    assert_eq!(ids(&rest), ["m-2", "m-3"]);
    handle(store, "billing", &rest).await.unwrap();
    assert_eq!(number(store, CURSOR).await, 4);
}

#[tokio::test]
async fn a_settled_position_is_fenced_too() {
    let fixture = Fixture::new().await;
    // A position without a fence does not revoke the lane, and the test would wait in vain.
    let fenced = tokio::time::timeout(FENCED, settle_where_the_cursor_was_moved(&fixture.store)).await;
    assert!(
        fenced.is_ok(),
        "no lane was lost and assigned again within {FENCED:?}: the settled position is not fenced"
    );
}

/// How long the fence may take on a busy machine.
const FENCED: Duration = Duration::from_secs(120);

async fn settle_where_the_cursor_was_moved(store: &SqliteStore) {
    append(store, "t", "m", 2).await;
    let mut subscriber = bind(store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    let first = delivery(&mut subscriber).await;
    let _open = delivery(&mut subscriber).await;
    execute(store, "UPDATE messagekit_consumer_cursors SET next = 2").await;

    subscriber.settle(&mut vec![first.receipt]);
    lost(&mut subscriber).await;
    let error = incoming(&mut subscriber).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Fenced);
    assigned(&mut subscriber).await;
    append(store, "t", "later", 1).await;
    assert_eq!(ids(&[delivery(&mut subscriber).await]), ["later-0"]);
}

#[tokio::test]
async fn without_a_subscriber_only_the_position_is_noted() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    append(&store, "t", "m", 1).await;
    let position = NextOffset { topic: topic("t"), partition: 0, key_lane: 0, next: 1 };
    let mut tx = store.begin().await.unwrap();
    store.advance(&mut tx, "billing", std::slice::from_ref(&position)).await.unwrap();
    store.commit(tx).await.unwrap();
    assert_eq!(store.next_of("billing", "t").await.unwrap(), [position]);
    assert_eq!(number(&store, "SELECT count(*) FROM messagekit_consumer_cursors").await, 0);
}

#[tokio::test]
async fn sqlite_cursor_refuses_key_lanes_that_would_skip_messages() {
    let Fixture { store, folder: _folder } = Fixture::new().await;
    append(&store, "t", "m", 1).await;
    let mut subscriber = bind(&store, &["t"], "billing").await;
    assigned(&mut subscriber).await;
    let first = delivery(&mut subscriber).await;
    let mut tx = store.begin().await.unwrap();
    let key_lane = NextOffset { key_lane: 1, ..behind(&first) };
    let error = store.advance(&mut tx, "billing", &[key_lane]).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
}
