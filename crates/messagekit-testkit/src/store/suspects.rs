//! Counting the processes that a message has ended.

use messagekit::{Received, Store, Suspects};

use super::fixture::{begin, claim_in, commit, set_aside_now};
use super::{StoreFixture, dead, received};
use crate::unique;

async fn noted<S: Suspects>(store: &S, consumer: &str, message: &Received) -> u32 {
    store.suspect(consumer, message).await.expect("notes are answered")
}

/// A process that dies takes no note back: the next note counts it.
pub async fn note_without_an_answer_counts_a_death<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (message, other) = (received("orders.order", "{}"), received("orders.order", "{}"));
    for deaths in 0..5 {
        assert_eq!(noted(&store, &consumer, &message).await, deaths);
    }
    assert_eq!(noted(&store, &consumer, &other).await, 0, "its neighbour is innocent");
}

/// Who applies the message forgets its deaths in the same transaction.
pub async fn absolved_message_is_forgotten<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    noted(&store, &consumer, &message).await;
    assert_eq!(noted(&store, &consumer, &message).await, 1);
    let mut tx = begin(&store).await;
    claim_in(&store, &mut tx, &consumer, &[&message]).await;
    store.absolve(&mut tx, &consumer, &message).await.expect("a note can be forgotten");
    commit(&store, tx).await;
    assert_eq!(noted(&store, &consumer, &message).await, 0);

    let mut tx = begin(&store).await;
    let never_noted = received("orders.order", "{}");
    store.absolve(&mut tx, &consumer, &never_noted).await.expect("nothing is to be forgotten");
    commit(&store, tx).await;
}

/// What was not applied is not forgotten either.
pub async fn rolled_back_absolution_keeps_the_deaths<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    noted(&store, &consumer, &message).await;
    let mut tx = begin(&store).await;
    store.absolve(&mut tx, &consumer, &message).await.expect("a note can be forgotten");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(noted(&store, &consumer, &message).await, 1);
}

/// A process that stops as it should takes its note back.
pub async fn stood_down_note_counts_no_death<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    for _ in 0..3 {
        assert_eq!(noted(&store, &consumer, &message).await, 0);
        store.stand_down(&consumer, &message).await.expect("a note can be taken back");
    }
}

/// The deaths of before stay, however often a note is taken back.
pub async fn standing_down_keeps_earlier_deaths<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    noted(&store, &consumer, &message).await;
    assert_eq!(noted(&store, &consumer, &message).await, 1);
    for _ in 0..2 {
        store.stand_down(&consumer, &message).await.expect("a note can be taken back");
    }
    assert_eq!(noted(&store, &consumer, &message).await, 1);
    assert_eq!(noted(&store, &consumer, &message).await, 2);
}

/// A message that has a marker by now has ended nobody.
pub async fn sweep_forgets_what_somebody_has_finished<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let [applied, dead_one, open] = [(); 3].map(|()| received("orders.order", "{}"));
    for message in [&applied, &dead_one, &open] {
        noted(&store, &consumer, message).await;
    }
    let mut tx = begin(&store).await;
    claim_in(&store, &mut tx, &consumer, &[&applied]).await;
    commit(&store, tx).await;
    set_aside_now(&store, &consumer, &dead_one, &dead("no")).await;
    store.sweep_suspects(&unique("consumer")).await.expect("notes can be swept");
    store.sweep_suspects(&consumer).await.expect("notes can be swept");
    let mut deaths = Vec::new();
    for message in [&applied, &dead_one, &open] {
        deaths.push(noted(&store, &consumer, message).await);
    }
    assert_eq!(deaths, [0, 0, 1]);
}

/// A message that ends one consumer says nothing about another.
pub async fn suspects_are_for_one_consumer<F: StoreFixture>(fixture: &F) {
    let (store, first, second) = (fixture.store(), unique("consumer"), unique("consumer"));
    let message = received("orders.order", "{}");
    noted(&store, &first, &message).await;
    assert_eq!(noted(&store, &second, &message).await, 0);
    store.stand_down(&second, &message).await.expect("a note can be taken back");
    assert_eq!(noted(&store, &first, &message).await, 1);
}
