//! In-flight attempts, which count the crashes of a message.

use messagekit::Store;
use messagekit::adapter::{Attempts, Inbox, ReceivedMessage};

use super::fixture::{begin, claim_in, commit, set_aside_now};
use super::{StoreFixture, dead, received};
use crate::unique;

/// One run of a consumer, with its own name.
struct Run<'a, S> {
    store: &'a S,
    consumer: &'a str,
    name: String,
}

impl<'a, S: Inbox> Run<'a, S> {
    fn new(store: &'a S, consumer: &'a str) -> Self {
        Self { store, consumer, name: unique("run") }
    }

    /// Begins an attempt at a message, and returns the number of other attempts.
    async fn note(&self, message: &ReceivedMessage) -> u32 {
        self.store
            .attempts()
            .begin_attempt(self.consumer, &message.id, &self.name)
            .await
            .expect("notes are answered")
    }

    async fn withdraw_attempt(&self, message: &ReceivedMessage) {
        let stood_down = self.store.attempts().withdraw_attempt(self.consumer, &message.id, &self.name).await;
        stood_down.expect("a note can be taken back");
    }
}

/// Begins an attempt that is never withdrawn, as if its process had crashed. Returns the number of earlier crashes.
async fn dies<S: Inbox>(store: &S, consumer: &str, message: &ReceivedMessage) -> u32 {
    Run::new(store, consumer).note(message).await
}

/// A process that crashes leaves its attempt. The next process counts it.
pub async fn note_without_an_answer_counts_a_death<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let (message, other) = (received("orders.order", "{}"), received("orders.order", "{}"));
    for deaths in 0..5 {
        assert_eq!(dies(&store, &consumer, &message).await, deaths);
    }
    assert_eq!(dies(&store, &consumer, &other).await, 0, "its neighbour is innocent");
}

/// A process that begins its attempt again, because the first outcome is unknown, counts no crash of its own.
pub async fn own_attempt_counts_no_crash<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let run = Run::new(&store, &consumer);
    for _ in 0..3 {
        assert_eq!(run.note(&message).await, 0);
    }
    assert_eq!(dies(&store, &consumer, &message).await, 1);
}

/// Two processes that handle copies of a message at the same time are both alive. A withdrawn attempt no longer counts.
pub async fn note_of_the_living_goes_with_them<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let runs = [(); 3].map(|()| Run::new(&store, &consumer));
    for (before, run) in (0..).zip(&runs) {
        assert_eq!(run.note(&message).await, before);
    }
    for run in &runs[1..] {
        run.withdraw_attempt(&message).await;
    }
    assert_eq!(runs[1].note(&message).await, 1);
}

/// The transaction that applies the message clears its crashes.
pub async fn cleared_attempts_are_forgotten<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    dies(&store, &consumer, &message).await;
    assert_eq!(dies(&store, &consumer, &message).await, 1);
    let mut tx = begin(&store).await;
    claim_in(&store, &mut tx, &consumer, &[&message]).await;
    store.attempts().clear_attempts(&mut tx, &consumer, &message.id).await.expect("a note can be forgotten");
    commit(&store, tx).await;
    assert_eq!(dies(&store, &consumer, &message).await, 0);

    let mut tx = begin(&store).await;
    let never_noted = received("orders.order", "{}");
    store
        .attempts()
        .clear_attempts(&mut tx, &consumer, &never_noted.id)
        .await
        .expect("nothing is to be forgotten");
    commit(&store, tx).await;
}

/// A rollback restores the attempts that it cleared.
pub async fn rolled_back_absolution_keeps_the_deaths<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    dies(&store, &consumer, &message).await;
    let mut tx = begin(&store).await;
    store.attempts().clear_attempts(&mut tx, &consumer, &message.id).await.expect("a note can be forgotten");
    store.rollback(tx).await.expect("a transaction can be rolled back");
    assert_eq!(dies(&store, &consumer, &message).await, 1);
}

/// A process that stops cleanly withdraws its attempt.
pub async fn withdrawn_attempt_counts_no_crash<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    for _ in 0..3 {
        let run = Run::new(&store, &consumer);
        assert_eq!(run.note(&message).await, 0);
        run.withdraw_attempt(&message).await;
    }
}

/// Earlier crashes stay, however often an attempt is withdrawn.
pub async fn standing_down_keeps_earlier_deaths<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    dies(&store, &consumer, &message).await;
    let run = Run::new(&store, &consumer);
    assert_eq!(run.note(&message).await, 1);
    for _ in 0..2 {
        run.withdraw_attempt(&message).await;
    }
    assert_eq!(dies(&store, &consumer, &message).await, 1);
    assert_eq!(dies(&store, &consumer, &message).await, 2);
}

/// A message that has a marker by now crashed no process.
pub async fn cleanup_clears_attempts_of_finished_messages<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    let [applied, dead_one, open] = [(); 3].map(|()| received("orders.order", "{}"));
    for message in [&applied, &dead_one, &open] {
        dies(&store, &consumer, message).await;
    }
    let mut tx = begin(&store).await;
    claim_in(&store, &mut tx, &consumer, &[&applied]).await;
    commit(&store, tx).await;
    set_aside_now(&store, &consumer, &dead_one, &dead("no")).await;
    store.attempts().clear_finished_attempts(&unique("consumer")).await.expect("notes can be swept");
    store.attempts().clear_finished_attempts(&consumer).await.expect("notes can be swept");
    let mut deaths = Vec::new();
    for message in [&applied, &dead_one, &open] {
        deaths.push(dies(&store, &consumer, message).await);
    }
    assert_eq!(deaths, [0, 0, 1]);
}

/// A message that crashes one consumer has no crash in another consumer.
pub async fn in_flight_attempts_belong_to_one_consumer<F: StoreFixture>(fixture: &F) {
    let (store, first, second) = (fixture.store(), unique("consumer"), unique("consumer"));
    let message = received("orders.order", "{}");
    dies(&store, &first, &message).await;
    let other = Run::new(&store, &second);
    assert_eq!(other.note(&message).await, 0);
    other.withdraw_attempt(&message).await;
    assert_eq!(dies(&store, &first, &message).await, 1);
}
