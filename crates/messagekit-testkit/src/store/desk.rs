//! What an operator sees and does.

use std::time::Duration;

use messagekit::{Claim, DeadLetters, ErrorKind, LetterFilter, LetterState, Retries, headers};

use super::fixture::{begin, commit, look, only_letter, set_aside_now};
use super::{StoreFixture, dead, received, retry_in};
use crate::unique;

const LONG: Duration = Duration::from_secs(3_600);

fn of(consumer: &str) -> LetterFilter {
    LetterFilter { consumer: Some(consumer.to_owned()), ..LetterFilter::default() }
}

async fn ids<S: DeadLetters>(store: &S, filter: &LetterFilter, limit: u32) -> Vec<i64> {
    store.list(filter, limit).await.expect("letters can be listed").iter().map(|letter| letter.id).collect()
}

/// A person asks, the consumer runs it, and the message is done.
pub async fn operator_retry_runs_a_dead_letter_once<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    set_aside_now(&store, &consumer, &message, &dead("no")).await;
    let letter = only_letter(&store, &consumer).await;
    store.retry(letter.id).await.expect("a dead letter can be run again");
    assert_eq!(only_letter(&store, &consumer).await.state, LetterState::Replaying);
    let leased = store.lease(&consumer, 10, LONG).await.expect("leases are answered");
    assert_eq!(leased.iter().map(|leased| leased.letter).collect::<Vec<_>>(), [letter.id]);
    assert_eq!(store.lease(&consumer, 10, LONG).await.expect("leases are answered"), [], "it runs once");
    let mut tx = begin(&store).await;
    fixture.effect(&mut tx, message.id.as_str()).await;
    assert!(store.resolve(&mut tx, &consumer, &leased[0]).await.expect("resolve is answered"));
    commit(&store, tx).await;
    assert_eq!(look(&store, &consumer, &message).await, Claim::Done);
    assert_eq!(only_letter(&store, &consumer).await.state, LetterState::Resolved);
}

/// A second click finds the letter no longer dead, whatever it became.
pub async fn second_retry_changes_nothing<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &dead("no")).await;
    let id = only_letter(&store, &consumer).await.id;
    let refused = async || store.retry(id).await.expect_err("the letter is not dead").kind();
    store.retry(id).await.expect("a dead letter can be run again");
    assert_eq!(refused().await, ErrorKind::WrongState, "it waits for its run");
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    assert_eq!(refused().await, ErrorKind::WrongState, "it runs");
    let mut tx = begin(&store).await;
    assert!(
        store.resolve(&mut tx, &consumer, &leased).await.expect("resolve is answered"),
        "the clicks fenced nobody"
    );
    commit(&store, tx).await;
    assert_eq!(refused().await, ErrorKind::WrongState, "it is resolved");
    assert_eq!(only_letter(&store, &consumer).await.state, LetterState::Resolved);

    let waiting = unique("consumer");
    set_aside_now(&store, &waiting, &received("orders.order", "{}"), &retry_in(LONG)).await;
    let id = only_letter(&store, &waiting).await.id;
    assert_eq!(store.retry(id).await.expect_err("it runs by itself").kind(), ErrorKind::WrongState);
}

/// There is nothing to run.
pub async fn retry_of_an_unknown_letter_is_not_found<F: StoreFixture>(fixture: &F) {
    let unknown = fixture.store().retry(i64::MAX).await.expect_err("there is no such letter");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}

/// A run that a person asked for does not start a new series of attempts.
pub async fn failed_replay_is_dead_at_once<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    set_aside_now(&store, &consumer, &received("orders.order", "{}"), &dead("no")).await;
    let id = only_letter(&store, &consumer).await.id;
    store.retry(id).await.expect("a dead letter can be run again");
    let leased = store.lease(&consumer, 1, LONG).await.expect("leases are answered").remove(0);
    let failure = retry_in(Duration::ZERO);
    assert!(store.fail(&consumer, &leased, &failure).await.expect("fail is answered"));
    let letter = only_letter(&store, &consumer).await;
    assert_eq!((letter.state, letter.due, &letter.error), (LetterState::Dead, None, &failure.error));
    assert_eq!(store.lease(&consumer, 1, LONG).await.expect("leases are answered"), []);
    store.retry(id).await.expect("it can be run once more");
}

/// Newest first; consumer, state and type narrow the list, alone and together.
pub async fn letters_are_listed_newest_first_and_filtered<F: StoreFixture>(fixture: &F) {
    let (store, consumer, other) = (fixture.store(), unique("consumer"), unique("consumer"));
    let mut placed = Vec::new();
    for failure in [dead("a"), retry_in(LONG), dead("c")] {
        set_aside_now(&store, &consumer, &received("orders.order", "{}"), &failure).await;
        placed.push(ids(&store, &of(&consumer), 1).await[0]);
    }
    let mut paid = received("orders.order", "{}");
    paid.message.headers.set(headers::EVENT_TYPE, "orders.order.paid");
    set_aside_now(&store, &consumer, &paid, &dead("d")).await;
    let paid = ids(&store, &of(&consumer), 1).await[0];
    set_aside_now(&store, &other, &received("orders.order", "{}"), &dead("e")).await;

    assert_eq!(ids(&store, &of(&consumer), 10).await, [paid, placed[2], placed[1], placed[0]]);
    assert_eq!(ids(&store, &of(&consumer), 2).await, [paid, placed[2]], "at most the limit");
    assert_eq!(ids(&store, &of(&other), 10).await.len(), 1);
    let retrying = LetterFilter { state: Some(LetterState::Retrying), ..of(&consumer) };
    assert_eq!(ids(&store, &retrying, 10).await, [placed[1]]);
    let paid_only = LetterFilter { event_type: Some("orders.order.paid".to_owned()), ..of(&consumer) };
    assert_eq!(ids(&store, &paid_only, 10).await, [paid]);
    let dead_placed = LetterFilter {
        event_type: Some("orders.order.placed".to_owned()),
        state: Some(LetterState::Dead),
        ..of(&consumer)
    };
    assert_eq!(ids(&store, &dead_placed, 10).await, [placed[2], placed[0]]);
}

/// The last number of a page begins the next.
pub async fn pages_join_without_a_gap<F: StoreFixture>(fixture: &F) {
    let (store, consumer) = (fixture.store(), unique("consumer"));
    for number in 0..7 {
        set_aside_now(&store, &consumer, &received("orders.order", &number.to_string()), &dead("no")).await;
    }
    let all = ids(&store, &of(&consumer), 100).await;
    let mut paged = Vec::new();
    loop {
        let filter = LetterFilter { before: paged.last().copied(), ..of(&consumer) };
        let page = ids(&store, &filter, 3).await;
        if page.is_empty() {
            break;
        }
        paged.extend(page);
        assert!(paged.len() <= all.len(), "pages repeat letters: {paged:?} of {all:?}");
    }
    assert_eq!((paged.len(), paged), (7, all));
}

/// A letter tells what happened, when, and how often.
pub async fn letter_tells_its_failure<F: StoreFixture>(fixture: &F) {
    let (store, consumer, message) = (fixture.store(), unique("consumer"), received("orders.order", "{}"));
    let mut failure = dead("order 17: kein Platz für „寿司“: connection refused");
    failure.attempts = 10;
    set_aside_now(&store, &consumer, &message, &failure).await;
    let id = only_letter(&store, &consumer).await.id;
    let letter = store.show(id).await.expect("the letter can be shown");
    assert_eq!(letter.received, message);
    assert_eq!((letter.id, letter.consumer, letter.state), (id, consumer, LetterState::Dead));
    assert_eq!((letter.attempts, letter.kills, letter.due), (10, 0, None));
    assert_eq!((letter.kind.as_str(), &letter.error), (failure.kind.as_str(), &failure.error));
    assert_eq!(letter.fingerprint, failure.fingerprint());
    assert!(letter.set_aside_at <= letter.changed_at, "{} > {}", letter.set_aside_at, letter.changed_at);
}

/// There is nothing to show.
pub async fn show_of_an_unknown_letter_is_not_found<F: StoreFixture>(fixture: &F) {
    let unknown = fixture.store().show(i64::MAX).await.expect_err("there is no such letter");
    assert_eq!(unknown.kind(), ErrorKind::NotFound);
}
