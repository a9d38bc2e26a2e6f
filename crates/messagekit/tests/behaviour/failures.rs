//! [`OnFailure::DeadLetter`](messagekit::OnFailure): only the failing message is set aside; the others of its batch are
//! applied once.

use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::adapter::FailureKind;
use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, Consumer, Envelope, HandlerError, OnFailure};
use messagekit_memory::MemoryTx;

use tokio::time::Instant;

use crate::fixture::{Action, CONSUMER, Placed, TOPIC, World, names, pass, seconds, start, until};

const TOO_LONG: Action = Action::Take(Duration::from_secs(9));

/// Every handler failure and its kind.
const WAYS: [(Action, &str); 5] = [
    (Action::Fail, "failed"),
    (Action::Permanent, "permanent"),
    (Action::Panic, "panicked"),
    (TOO_LONG, "too_slow"),
    (Action::Swallow, "transaction"),
];

#[tokio::test(start_paused = true)]
async fn message_failure_is_recorded_and_others_go_on_in_order() {
    let world = World::new(1);
    world.push_all("a", 5).await;
    world.script.next("a-3", [Action::Fail]);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 5).await;

    assert_eq!(world.applied(), ["a-1", "a-2", "a-4", "a-5"]);
    let failed_message = world.failed_message("a-3").await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, &*failed_message.kind),
        (FailedMessageState::RetryScheduled, 1, "failed")
    );
    assert_eq!((&*failed_message.error, &*failed_message.consumer), ("no stock yet", CONSUMER));
    let stats = consumer.stop().await;
    assert_eq!((stats.handled, stats.set_aside, stats.dead), (4, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn failures_are_counted_by_kind_those_of_retries_too() {
    let world = World::new(1);
    world.push_all("a", 4).await;
    world.script.next("a-1", [Action::Fail, Action::Panic, Action::Permanent]);
    world.script.next("a-2", [Action::Permanent]);
    // A pause, and no failure.
    world.script.next("a-4", [Action::Unavailable]);
    let consumer = start(world.billing());
    until(|| world.script.runs_of("a-1").len() == 3 && world.committed(0) == 4).await;
    let stats = consumer.stats.clone();
    let done = consumer.stop().await;
    assert_eq!((done.set_aside, done.dead), (1, 2));
    assert_eq!(
        stats.failures(),
        [(FailureKind::Failed, 1), (FailureKind::Permanent, 2), (FailureKind::Panicked, 1)]
    );
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_is_retried_when_due_and_not_before() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.next("a-1", [Action::Fail, Action::Fail]);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 2).await;
    for runs in [1, 2] {
        let failed_message = world.failed_message("a-1").await;
        assert_eq!(
            (failed_message.state, failed_message.attempts),
            (FailedMessageState::RetryScheduled, runs as u32)
        );
        let delay =
            failed_message.due.expect("it is due").duration_since(failed_message.changed_at).unsigned_abs();
        assert!(Duration::from_millis(500) <= delay && delay <= seconds(1), "{delay:?}");
        until(|| world.script.runs_of("a-1").len() > runs).await;
        let at: Vec<Instant> = world.script.runs_of("a-1").iter().map(|run| run.at).collect();
        let late = (at[runs] - at[runs - 1]).checked_sub(delay).expect("not before it was due");
        assert!(late < Duration::from_millis(10), "{late:?} late");
    }
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3]);
    assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::Resolved);
    pass(seconds(60)).await;
    assert_eq!(world.applied(), ["a-2", "a-1"], "once");
    assert_eq!(consumer.stop().await.handled, 2);
}

#[tokio::test(start_paused = true)]
async fn a_handler_asks_for_another_wait_than_the_backoff() {
    for policy in [OnFailure::DeadLetter, OnFailure::ParkKey, OnFailure::Block] {
        let world = World::new(1);
        world.push_all("a", 1).await;
        world.script.next("a-1", [Action::FailFor(seconds(45)), Action::Fail]);
        let consumer = start(world.billing().on_failure(policy));
        until(|| world.applied() == ["a-1"]).await;
        let at: Vec<Instant> = world.script.runs_of("a-1").iter().map(|run| run.at).collect();
        let waits = [at[1] - at[0], at[2] - at[1]];
        assert!((seconds(45)..seconds(46)).contains(&waits[0]), "{policy:?}: {waits:?}");
        assert!(waits[1] <= seconds(3), "{policy:?}: the next failure waits by the backoff again, {waits:?}");
        assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3], "each run counts");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn asking_for_a_wait_lengthens_no_retries_beyond_the_last() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.always("a-1", Action::FailFor(seconds(5)));
    let consumer = start(world.billing().attempts(NonZeroU32::new(3).expect("3 > 0")));
    until(|| consumer.read().dead == 1).await;
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3]);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_is_dead_after_its_last_attempt() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.always("a-1", Action::Fail);
    let consumer = start(world.billing().attempts(NonZeroU32::new(3).expect("3 > 0")));
    until(|| consumer.read().dead == 1).await;

    pass(seconds(600)).await;
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3]);
    let failed_message = world.failed_message("a-1").await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, failed_message.due),
        (FailedMessageState::Dead, 3, None)
    );
    let stats = consumer.stop().await;
    assert_eq!((stats.set_aside, stats.dead, stats.handled), (1, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_permanent_failure_is_dead_at_once() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.always("a-1", Action::Permanent);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 2).await;

    pass(seconds(600)).await;
    assert_eq!(world.script.attempts_of("a-1"), [1]);
    let failed_message = world.failed_message("a-1").await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, &*failed_message.kind),
        (FailedMessageState::Dead, 1, "permanent")
    );
    assert_eq!(consumer.stop().await.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn errors_of_panics_and_deadlines_say_what_happened() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.always("a-1", Action::Panic);
    world.script.always("a-2", TOO_LONG);
    let consumer = start(world.billing().deadline(seconds(2)));
    until(|| world.committed(0) == 2).await;
    assert_eq!(world.failed_message("a-1").await.error, "handler panicked: boom");
    assert_eq!(world.failed_message("a-2").await.error, "handler did not end within its deadline of 2s");
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
    assert_eq!(world.failed_message("a-1").await.error, "handler panicked: order a has no lines");
    assert_eq!(world.store.get("runs"), 0);
    consumer.stop().await;
}

/// Every subset of a batch fails in every way: the other messages are applied as if the failing ones were absent.
#[tokio::test(start_paused = true)]
async fn any_culprits_of_a_batch_are_set_apart_and_nothing_else() {
    for (act, kind) in WAYS {
        for size in [1, 2, 5] {
            for culprits in 1_u32..1 << size {
                let is_bad = |n: &i64| culprits & (1 << (n - 1)) != 0;
                let ids = |n: Vec<i64>| n.into_iter().map(|n| format!("a-{n}")).collect::<Vec<_>>();
                let (bad, good) = (1..=size).partition(is_bad);
                let (bad, good) = (ids(bad), ids(good));
                let world = World::new(1);
                world.push_all("a", size).await;
                bad.iter().for_each(|id| world.script.always(id, act));
                let consumer = start(world.billing().deadline(seconds(2)));
                until(|| world.committed(0) == size).await;
                consumer.stop().await;

                assert_eq!(world.applied(), good, "{act:?} {bad:?}");
                let failed_messages = world.failed_messages().await;
                let apart: Vec<_> = failed_messages
                    .iter()
                    .map(|failed_message| failed_message.received.id.to_string())
                    .collect();
                assert_eq!(apart, bad, "{act:?}");
                assert!(
                    failed_messages.iter().all(|failed_message| failed_message.kind == kind),
                    "{failed_messages:?}"
                );
                assert_eq!(world.store.open_transactions(), 0);
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn failures_of_different_kinds_in_one_batch_are_all_found() {
    let world = World::new(1);
    world.push_all("a", 40).await;
    let acts = [
        (2, Action::Swallow),
        (3, Action::Fail),
        (11, Action::Swallow),
        (12, Action::Panic),
        (40, Action::Permanent),
    ];
    for (n, act) in acts {
        world.script.always(&format!("a-{n}"), act);
    }
    let consumer = start(world.billing());
    until(|| world.committed(0) == 40).await;
    consumer.stop().await;

    let bad: Vec<String> = acts.iter().map(|(n, _)| format!("a-{n}")).collect();
    let good: Vec<String> = names("a", 40).into_iter().filter(|id| !bad.contains(id)).collect();
    assert_eq!(world.applied(), good);
    let kinds: Vec<String> =
        world.failed_messages().await.into_iter().map(|failed_message| failed_message.kind.clone()).collect();
    assert_eq!(kinds, ["transaction", "failed", "transaction", "panicked", "permanent"]);
}

/// A zero is a time, and not the backoff.
#[tokio::test(start_paused = true)]
async fn a_handler_may_ask_for_its_next_run_at_once() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.next("a-1", [Action::FailFor(Duration::ZERO)]);
    let day = Backoff::fixed(seconds(24 * 60 * 60));
    let asked = Instant::now();
    let consumer = start(world.billing().backoff(day));
    until(|| world.applied() == ["a-1"]).await;
    assert!(asked.elapsed() < seconds(60), "{:?}", asked.elapsed());
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn no_handler_asks_for_more_than_a_year() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.always("a-1", Action::FailFor(Duration::MAX));
    let consumer = start(world.billing());
    until(|| world.committed(0) == 1).await;
    let failed_message = world.failed_message("a-1").await;
    let wait = failed_message.due.expect("it is due").duration_since(failed_message.changed_at);
    assert_eq!(wait.unsigned_abs(), seconds(365 * 24 * 60 * 60));
    consumer.stop().await;
}

async fn parsed(_: &mut MemoryTx, event: Envelope<Placed>) -> Result<(), HandlerError> {
    event.data.order.parse::<u32>()?;
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn the_class_of_other_libraries_errors_is_chosen() {
    let world = World::new(1);
    world.push("a", 1).await;
    let consumer =
        || Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC])).on(parsed);
    let chosen = start(consumer().classify_errors(|error| {
        assert!(error.is::<std::num::ParseIntError>(), "the error itself is given");
        HandlerError::permanent(error)
    }));
    until(|| world.committed(0) == 1).await;
    let failed_message = world.failed_message("a-1").await;
    assert_eq!((&*failed_message.kind, failed_message.state), ("permanent", FailedMessageState::Dead));
    chosen.stop().await;

    world.push("b", 1).await;
    let panics = start(consumer().classify_errors(|_| panic!("no class")));
    until(|| world.committed(0) == 2).await;
    assert_eq!(world.failed_message("b-1").await.error, "handler panicked: no class");
    panics.stop().await;
}
