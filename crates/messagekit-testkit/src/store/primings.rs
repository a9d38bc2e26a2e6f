//! How far a consumer is primed.

use jiff::Timestamp;
use messagekit::Store;
use messagekit::adapter::{Inbox, Priming};

use super::StoreFixture;
use super::fixture::{begin, commit};
use crate::unique;

/// A time with microseconds.
fn at(second: i64) -> Timestamp {
    Timestamp::from_microsecond(1_764_000_000_000_000 + second * 1_000_000 + 7).expect("it is in range")
}

fn until(second: i64) -> Priming {
    Priming { frontier: Some(at(second)), is_finished: false }
}

const FINISHED: Priming = Priming { frontier: None, is_finished: true };

async fn write<F: StoreFixture>(fixture: &F, consumer: &str, primings: &[Priming]) {
    let store = fixture.store();
    let mut tx = begin(&store).await;
    for priming in primings {
        store.write_priming(&mut tx, consumer, *priming).await.expect("a priming can be written");
    }
    commit(&store, tx).await;
}

async fn written<F: StoreFixture>(fixture: &F, consumer: &str) -> Option<Priming> {
    fixture.store().priming(consumer).await.expect("a priming can be read")
}

/// A priming is written with the commit, and not without.
pub async fn primings_share_the_commit<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    assert_eq!(written(fixture, &consumer).await, None);
    write(fixture, &consumer, &[Priming::default()]).await;
    assert_eq!(written(fixture, &consumer).await, Some(Priming::default()));
    let mut tx = begin(&store).await;
    store.write_priming(&mut tx, &consumer, until(7)).await.expect("a priming can be written");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(written(fixture, &consumer).await, Some(Priming::default()));
    write(fixture, &consumer, &[until(7)]).await;
    assert_eq!(written(fixture, &consumer).await, Some(until(7)));
}

/// An earlier frontier changes nothing, in the same transaction or a later one.
pub async fn frontier_never_goes_back<F: StoreFixture>(fixture: &F) {
    let consumer = unique("consumer");
    for (next, kept) in [(7, 7), (3, 7), (8, 8)] {
        write(fixture, &consumer, &[until(next)]).await;
        assert_eq!(written(fixture, &consumer).await, Some(until(kept)));
    }
    write(fixture, &consumer, &[until(9), until(4)]).await;
    assert_eq!(written(fixture, &consumer).await, Some(until(9)));
    write(fixture, &consumer, &[FINISHED]).await;
    assert_eq!(written(fixture, &consumer).await, Some(Priming { frontier: Some(at(9)), is_finished: true }));
}

/// A finished priming stays so, whatever frontier is written.
pub async fn finished_priming_stays_finished<F: StoreFixture>(fixture: &F) {
    let consumer = unique("consumer");
    write(fixture, &consumer, &[FINISHED]).await;
    assert_eq!(written(fixture, &consumer).await, Some(FINISHED), "no record was handled");
    for (next, kept) in [(7, 7), (3, 7), (8, 8)] {
        write(fixture, &consumer, &[until(next)]).await;
        let kept = Priming { frontier: Some(at(kept)), is_finished: true };
        assert_eq!(written(fixture, &consumer).await, Some(kept));
    }
    write(fixture, &consumer, &[Priming::IN_GROUP, until(9)]).await;
    assert_eq!(written(fixture, &consumer).await, Some(Priming::IN_GROUP));
}

/// The default begins another priming, in a transaction of its own or with the first record.
pub async fn default_begins_another_priming<F: StoreFixture>(fixture: &F) {
    let consumer = unique("consumer");
    write(fixture, &consumer, &[until(7), FINISHED]).await;
    write(fixture, &consumer, &[Priming::default()]).await;
    assert_eq!(written(fixture, &consumer).await, Some(Priming::default()));
    write(fixture, &consumer, &[until(3)]).await;
    assert_eq!(written(fixture, &consumer).await, Some(until(3)));
    write(fixture, &consumer, &[FINISHED]).await;
    write(fixture, &consumer, &[Priming::default(), until(1)]).await;
    assert_eq!(written(fixture, &consumer).await, Some(until(1)));
}

/// Each consumer has its own priming.
pub async fn primings_are_kept_apart<F: StoreFixture>(fixture: &F) {
    let (first, second) = (unique("consumer"), unique("consumer"));
    write(fixture, &first, &[until(7), FINISHED]).await;
    assert_eq!(written(fixture, &second).await, None);
    write(fixture, &second, &[until(3)]).await;
    assert_eq!(written(fixture, &second).await, Some(until(3)));
    assert_eq!(written(fixture, &first).await, Some(Priming { frontier: Some(at(7)), is_finished: true }));
}
