//! How far a consumer is primed.

use jiff::Timestamp;
use messagekit::Store;
use messagekit::adapter::{Inbox, NextOffset, Positions, Priming, Primings};

use super::StoreFixture;
use super::fixture::{begin, commit};
use crate::unique;

const FIRST: Priming = Priming::begun(1);
const SECOND: Priming = Priming::begun(2);

/// A time with microseconds.
fn at(second: i64) -> Timestamp {
    Timestamp::from_microsecond(1_764_000_000_000_000 + second * 1_000_000 + 7).expect("it is in range")
}

async fn begins<F: StoreFixture>(fixture: &F, consumer: &str, after: u32) -> bool {
    let store = fixture.store();
    let mut tx = begin(&store).await;
    let begins = store.primings().begin_priming(&mut tx, consumer, after).await.expect("a priming can begin");
    commit(&store, tx).await;
    begins
}

async fn write<F: StoreFixture>(fixture: &F, consumer: &str, primings: &[Priming]) {
    let store = fixture.store();
    let mut tx = begin(&store).await;
    for priming in primings {
        store.primings().write_priming(&mut tx, consumer, *priming).await.expect("a priming can be written");
    }
    commit(&store, tx).await;
}

async fn written<F: StoreFixture>(fixture: &F, consumer: &str) -> Option<Priming> {
    fixture.store().primings().priming(consumer).await.expect("a priming can be read")
}

/// A priming begins and is written with the commit, and not without.
pub async fn primings_share_the_commit<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    assert_eq!(written(fixture, &consumer).await, None);
    let mut tx = begin(&store).await;
    assert!(store.primings().begin_priming(&mut tx, &consumer, 0).await.expect("a priming can begin"));
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(written(fixture, &consumer).await, None);
    assert!(begins(fixture, &consumer, 0).await);
    assert_eq!(written(fixture, &consumer).await, Some(FIRST));
    let mut tx = begin(&store).await;
    store
        .primings()
        .write_priming(&mut tx, &consumer, FIRST.until(at(7)))
        .await
        .expect("a priming can be written");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(written(fixture, &consumer).await, Some(FIRST));
    write(fixture, &consumer, &[FIRST.until(at(7))]).await;
    assert_eq!(written(fixture, &consumer).await, Some(FIRST.until(at(7))));
}

/// An earlier frontier changes nothing, in the same transaction or a later one.
pub async fn frontier_never_goes_back<F: StoreFixture>(fixture: &F) {
    let consumer = unique("consumer");
    begins(fixture, &consumer, 0).await;
    for (next, kept) in [(7, 7), (3, 7), (8, 8)] {
        write(fixture, &consumer, &[FIRST.until(at(next))]).await;
        assert_eq!(written(fixture, &consumer).await, Some(FIRST.until(at(kept))));
    }
    write(fixture, &consumer, &[FIRST.until(at(9)), FIRST.until(at(4))]).await;
    assert_eq!(written(fixture, &consumer).await, Some(FIRST.until(at(9))));
    write(fixture, &consumer, &[FIRST.finished()]).await;
    assert_eq!(
        written(fixture, &consumer).await,
        Some(Priming { frontier: Some(at(9)), ..FIRST.finished() })
    );
}

/// A finished priming stays so, whatever a slower process writes.
pub async fn finished_priming_stays_finished<F: StoreFixture>(fixture: &F) {
    let consumer = unique("consumer");
    begins(fixture, &consumer, 0).await;
    write(fixture, &consumer, &[FIRST.finished()]).await;
    assert_eq!(written(fixture, &consumer).await, Some(FIRST.finished()), "no record was handled");
    write(fixture, &consumer, &[FIRST]).await;
    assert_eq!(written(fixture, &consumer).await, Some(FIRST.finished()));
    for (next, kept) in [(7, 7), (3, 7), (8, 8)] {
        write(fixture, &consumer, &[FIRST.until(at(next))]).await;
        let kept = Priming { frontier: Some(at(kept)), ..FIRST.finished() };
        assert_eq!(written(fixture, &consumer).await, Some(kept));
    }
    write(fixture, &consumer, &[FIRST.in_group(), FIRST.until(at(9))]).await;
    assert_eq!(written(fixture, &consumer).await, Some(FIRST.in_group()));
}

/// Of two processes that begin the next priming, one does. The priming has handled nothing, and has no positions yet.
pub async fn next_priming_begins_once_with_nothing<F: StoreFixture>(fixture: &F) {
    let (store, consumer, topic) = (fixture.store(), unique("consumer"), unique("topic"));
    assert!(begins(fixture, &consumer, 0).await);
    write(fixture, &consumer, &[FIRST.until(at(7)), FIRST.finished()]).await;
    let live = NextOffset { topic: topic.as_str().into(), partition: 0, key_lane: 0, next: 5 };
    let own = NextOffset { key_lane: FIRST.key_lane(), ..live.clone() };
    let mut tx = begin(&store).await;
    store.advance(&mut tx, &consumer, &[live.clone(), own]).await.expect("positions can be stored");
    commit(&store, tx).await;
    assert!(!begins(fixture, &consumer, 0).await, "it has begun already");
    assert!(written(fixture, &consumer).await.is_some_and(|kept| kept.is_finished));
    assert!(begins(fixture, &consumer, 1).await);
    assert_eq!(written(fixture, &consumer).await, Some(SECOND));
    assert!(!begins(fixture, &consumer, 1).await, "another process has begun it");
    assert_eq!(store.next_of(&consumer, &topic).await.expect("positions can be read"), [live]);
}

/// A process that still works on an earlier priming changes nothing of the next.
pub async fn earlier_priming_writes_nothing<F: StoreFixture>(fixture: &F) {
    let consumer = unique("consumer");
    begins(fixture, &consumer, 0).await;
    write(fixture, &consumer, &[FIRST.finished()]).await;
    begins(fixture, &consumer, 1).await;
    write(fixture, &consumer, &[FIRST.until(at(7)), FIRST.finished()]).await;
    assert_eq!(written(fixture, &consumer).await, Some(SECOND));
    write(fixture, &consumer, &[SECOND.until(at(3))]).await;
    assert_eq!(written(fixture, &consumer).await, Some(SECOND.until(at(3))));
}

/// Each consumer has its own priming.
pub async fn primings_are_kept_apart<F: StoreFixture>(fixture: &F) {
    let (first, second) = (unique("consumer"), unique("consumer"));
    assert!(begins(fixture, &first, 0).await);
    write(fixture, &first, &[FIRST.until(at(7)), FIRST.finished()]).await;
    assert_eq!(written(fixture, &second).await, None);
    assert!(begins(fixture, &second, 0).await);
    write(fixture, &second, &[FIRST.until(at(3))]).await;
    assert_eq!(written(fixture, &second).await, Some(FIRST.until(at(3))));
    assert_eq!(written(fixture, &first).await, Some(Priming { frontier: Some(at(7)), ..FIRST.finished() }));
}
