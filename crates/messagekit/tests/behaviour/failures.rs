//! Under [`OnFailure::DeadLetter`](messagekit::OnFailure): only the culprit is set apart, its neighbours are applied once.

use std::collections::BTreeSet;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use messagekit::memory::{MemoryStore, MemoryTx};
use messagekit::{Consumer, Envelope, ErrorKind, HandlerError, LetterState, Message, OutboxRows};

use crate::fixture::{Act, CONSUMER, Placed, TOPIC, World, names, pass, seconds, start, until};
use crate::flaky::{Call, Flaky};

const TOO_LONG: Act = Act::Take(Duration::from_secs(9));

/// Every way in which a handler can fail a message, with the word for it.
const WAYS: [(Act, &str); 5] = [
    (Act::Fail, "failed"),
    (Act::Permanent, "permanent"),
    (Act::Panic, "panicked"),
    (TOO_LONG, "too_slow"),
    (Act::Swallow, "transaction"),
];

#[tokio::test(start_paused = true)]
async fn a_failed_message_is_set_aside_and_its_neighbours_go_on_in_order() {
    let world = World::new(1);
    world.push_all("a", 5).await;
    world.script.next("a-3", [Act::Fail]);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 5).await;

    assert_eq!(world.applied(), ["a-1", "a-2", "a-4", "a-5"]);
    let letter = world.letter("a-3").await;
    assert_eq!((letter.state, letter.attempts, &*letter.kind), (LetterState::Retrying, 1, "failed"));
    assert_eq!((&*letter.error, &*letter.consumer), ("no stock yet", CONSUMER));
    let stats = consumer.stop().await;
    assert_eq!((stats.handled, stats.set_aside, stats.dead), (4, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_set_aside_message_is_tried_again_when_due_and_not_before() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.next("a-1", [Act::Fail, Act::Fail]);
    let consumer = start(world.billing());
    until(|| world.applied().len() == 2).await;

    let runs = world.script.runs_of("a-1");
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3]);
    for pair in runs.windows(2) {
        // A second, shortened by up to a half.
        let waited = pair[1].at - pair[0].at;
        assert!(Duration::from_millis(500) <= waited && waited < Duration::from_millis(1_010), "{waited:?}");
    }
    assert_eq!(world.letter("a-1").await.state, LetterState::Resolved);
    pass(seconds(60)).await;
    assert_eq!(world.applied(), ["a-2", "a-1"], "once");
    assert_eq!(consumer.stop().await.handled, 2);
}

#[tokio::test(start_paused = true)]
async fn a_message_is_dead_after_its_last_attempt() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.always("a-1", Act::Fail);
    let consumer = start(world.billing().attempts(NonZeroU32::new(3).expect("3 > 0")));
    until(|| consumer.read().dead == 1).await;

    pass(seconds(600)).await;
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3]);
    let letter = world.letter("a-1").await;
    assert_eq!((letter.state, letter.attempts, letter.due), (LetterState::Dead, 3, None));
    let stats = consumer.stop().await;
    assert_eq!((stats.set_aside, stats.dead, stats.handled), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_dead_at_once() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.always("a-1", Act::Permanent);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 2).await;

    pass(seconds(600)).await;
    assert_eq!(world.script.attempts_of("a-1"), [1]);
    let letter = world.letter("a-1").await;
    assert_eq!((letter.state, letter.attempts, &*letter.kind), (LetterState::Dead, 1, "permanent"));
    assert_eq!(consumer.stop().await.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn errors_of_panics_and_deadlines_say_what_happened() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.always("a-1", Act::Panic);
    world.script.always("a-2", TOO_LONG);
    let consumer = start(world.billing().deadline(seconds(2)));
    until(|| world.committed(0) == 2).await;
    assert_eq!(world.letter("a-1").await.error, "handler panicked: boom");
    assert_eq!(world.letter("a-2").await.error, "handler did not end within its deadline of 2s");
    consumer.stop().await;
}

async fn formatted(tx: &mut MemoryTx, event: Envelope<Placed>) -> Result<(), HandlerError> {
    tx.add("runs", 1);
    panic!("order {} has no lines", event.data.order);
}

#[tokio::test(start_paused = true)]
async fn the_text_of_a_panic_is_kept_when_it_was_formatted() {
    let world = World::new(1);
    world.push("a", 1).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
    let consumer = start(builder.on(formatted));
    until(|| world.committed(0) == 1).await;
    assert_eq!(world.letter("a-1").await.error, "handler panicked: order a has no lines");
    assert_eq!(world.store.get("runs"), 0);
    consumer.stop().await;
}

/// Every subset of a batch of five, failing in every way: what is left is applied as if the culprits were not there.
#[tokio::test(start_paused = true)]
async fn any_culprits_of_a_batch_are_set_apart_and_nothing_else() {
    for (act, kind) in WAYS {
        for culprits in 1_u32..32 {
            let world = World::new(1);
            world.push_all("a", 5).await;
            let (bad, good): (Vec<i64>, Vec<i64>) = (1..=5).partition(|n| culprits & (1 << (n - 1)) != 0);
            let name = |n: i64| format!("a-{n}");
            let (bad, good): (Vec<_>, Vec<_>) =
                (bad.into_iter().map(name).collect(), good.into_iter().map(name).collect());
            bad.iter().for_each(|id| world.script.always(id, act));
            let consumer = start(world.billing().deadline(seconds(2)));
            until(|| world.committed(0) == 5).await;
            consumer.stop().await;

            assert_eq!(world.applied(), good, "{act:?} {bad:?}");
            let letters = world.letters().await;
            let set_apart: Vec<&str> = letters.iter().map(|letter| letter.received.id.as_str()).collect();
            assert_eq!(set_apart, bad, "{act:?}");
            assert!(letters.iter().all(|letter| letter.kind == kind), "{letters:?}");
            assert_eq!(world.store.open_transactions(), 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn culprits_of_different_kinds_in_one_batch_do_not_hide_each_other() {
    let world = World::new(1);
    world.push_all("a", 40).await;
    let acts =
        [(2, Act::Swallow), (3, Act::Fail), (11, Act::Swallow), (12, Act::Panic), (40, Act::Permanent)];
    for (n, act) in acts {
        world.script.always(&format!("a-{n}"), act);
    }
    let consumer = start(world.billing());
    until(|| world.committed(0) == 40).await;
    consumer.stop().await;

    let bad: Vec<String> = acts.iter().map(|(n, _)| format!("a-{n}")).collect();
    let good: Vec<String> = names("a", 40).into_iter().filter(|id| !bad.contains(id)).collect();
    assert_eq!(world.applied(), good);
    let kinds: Vec<String> = world.letters().await.into_iter().map(|letter| letter.kind).collect();
    assert_eq!(kinds, ["transaction", "failed", "transaction", "panicked", "permanent"]);
}

/// Writes numbers, which never fail: nothing but the commit notices a swallowed error.
async fn quiet(
    culprits: &BTreeSet<String>,
    tx: &mut MemoryTx,
    event: Envelope<Placed>,
) -> Result<(), HandlerError> {
    tx.add(event.event_id.to_string(), 1);
    if culprits.contains(event.event_id.as_str()) {
        tx.poison();
    }
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_swallowed_error_that_only_the_commit_sees_is_found_by_halving() {
    let world = World::new(1);
    world.push_all("a", 50).await;
    let culprits = Arc::new(BTreeSet::from(["a-7".to_owned(), "a-31".to_owned()]));
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
    let consumer = start(builder.on_with(culprits.clone(), quiet));
    until(|| world.committed(0) == 50).await;

    for id in names("a", 50) {
        assert_eq!(world.store.get(&id), i64::from(!culprits.contains(&id)), "{id}");
    }
    let letters = world.letters().await;
    let set_apart: Vec<&str> = letters.iter().map(|letter| letter.received.id.as_str()).collect();
    assert_eq!(set_apart, ["a-7", "a-31"]);
    consumer.stop().await;
}

/// Calls every error of the database permanent, as handlers do.
async fn impatient(
    (store, culprit): &(MemoryStore, String),
    tx: &mut MemoryTx,
    event: Envelope<Placed>,
) -> Result<(), HandlerError> {
    let id = event.event_id.to_string();
    if id == *culprit {
        tx.poison();
        return Ok(());
    }
    store.write(tx, &[Message::new("applied", id)]).await.map_err(HandlerError::permanent)
}

#[tokio::test(start_paused = true)]
async fn a_neighbour_that_calls_an_ended_transaction_permanent_is_not_blamed_for_it() {
    let world = World::new(1);
    world.push_all("a", 4).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
    let consumer = start(builder.on_with(Arc::new((world.store.clone(), "a-2".to_owned())), impatient));
    until(|| world.committed(0) == 4).await;
    assert_eq!(world.applied(), ["a-1", "a-3", "a-4"]);
    assert_eq!(world.letters().await.len(), 1);
    assert_eq!(world.letter("a-2").await.kind, "transaction");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_write_lock_held_for_too_long_halves_the_batch_and_blames_nobody() {
    for call in [Call::Claim, Call::SetAside] {
        let world = World::new(1);
        world.push_all("a", 8).await;
        names("a", 8).iter().for_each(|id| world.script.always(id, Act::Permanent));
        let flaky = Flaky::new(&world.store);
        flaky.fail(call, ErrorKind::LockBound);
        let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
        pass(seconds(1)).await;
        flaky.heal();
        until(|| world.committed(0) == 8).await;
        let stats = consumer.stop().await;
        assert_eq!((stats.handled, stats.dead), (0, 8), "{call:?}");
        assert!(world.letters().await.iter().all(|letter| letter.kind == "permanent"));
    }
}
