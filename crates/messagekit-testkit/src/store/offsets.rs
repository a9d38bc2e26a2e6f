//! Offsets of a consumer.

use messagekit::Store;
use messagekit::adapter::{NextOffset, Positions};

use super::StoreFixture;
use super::fixture::{begin, commit};
use crate::unique;

fn at(topic: &str, partition: i32, key_lane: u32, next: i64) -> NextOffset {
    NextOffset { topic: topic.into(), partition, key_lane, next }
}

async fn advance<F: StoreFixture>(fixture: &F, consumer: &str, positions: &[NextOffset]) {
    let store = fixture.store();
    let mut tx = begin(&store).await;
    store.advance(&mut tx, consumer, positions).await.expect("positions can be noted");
    commit(&store, tx).await;
}

/// Returns (partition, key lane, next), sorted.
async fn noted<F: StoreFixture>(fixture: &F, consumer: &str, topic: &str) -> Vec<(i32, u32, i64)> {
    let noted = fixture.store().next_of(consumer, topic).await.expect("positions can be read");
    assert!(noted.iter().all(|position| &*position.topic == topic), "{noted:?}");
    let mut noted: Vec<_> = noted.iter().map(|noted| (noted.partition, noted.key_lane, noted.next)).collect();
    noted.sort_unstable();
    noted
}

/// A smaller offset changes nothing, in the same transaction or a later one.
pub async fn positions_only_grow<F: StoreFixture>(fixture: &F) {
    let (consumer, topic) = (unique("consumer"), unique("topic"));
    assert_eq!(noted(fixture, &consumer, &topic).await, []);
    advance(fixture, &consumer, &[at(&topic, 0, 0, 7)]).await;
    advance(fixture, &consumer, &[at(&topic, 0, 0, 3)]).await;
    assert_eq!(noted(fixture, &consumer, &topic).await, [(0, 0, 7)]);
    advance(fixture, &consumer, &[at(&topic, 0, 0, 8)]).await;
    assert_eq!(noted(fixture, &consumer, &topic).await, [(0, 0, 8)]);
}

/// An offset of a transaction that did not commit is not stored.
pub async fn positions_share_the_commit<F: StoreFixture>(fixture: &F) {
    let (store, consumer, topic) = (fixture.store(), unique("consumer"), unique("topic"));
    advance(fixture, &consumer, &[at(&topic, 0, 0, 1)]).await;
    let mut tx = begin(&store).await;
    store.advance(&mut tx, &consumer, &[at(&topic, 0, 0, 9)]).await.expect("positions can be noted");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(noted(fixture, &consumer, &topic).await, [(0, 0, 1)]);
}

/// Each consumer, topic, partition and key lane has its own offset.
pub async fn positions_are_kept_apart<F: StoreFixture>(fixture: &F) {
    let (first, second) = (unique("consumer"), unique("consumer"));
    let (orders, bills) = (unique("topic"), unique("topic"));
    let several = [at(&orders, 0, 0, 1), at(&orders, 1, 0, 2), at(&orders, 1, 1, 3), at(&bills, 0, 0, 4)];
    advance(fixture, &first, &several).await;
    advance(fixture, &second, &[at(&orders, 0, 0, i64::MAX)]).await;
    assert_eq!(noted(fixture, &first, &orders).await, [(0, 0, 1), (1, 0, 2), (1, 1, 3)]);
    assert_eq!(noted(fixture, &first, &bills).await, [(0, 0, 4)]);
    assert_eq!(noted(fixture, &second, &orders).await, [(0, 0, i64::MAX)]);
}
