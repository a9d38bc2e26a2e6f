//! A failed message is either open or applied, never both and never neither.

use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::adapter::Retries;
use messagekit::operations::FailedMessageState;
use messagekit::{Claim, ErrorKind, Message, OnFailure};
use messagekit_memory::Failpoint;

use crate::fixture::{Action, CONSUMER, TOPIC, World, names, pass, seconds, start, until};
use crate::flaky::{Call, Flaky};
use crate::log::Log;

/// Creates a world whose only message is dead, and returns the number of its failed message.
async fn world_with_a_failed_message() -> (World, i64) {
    let world = World::new(1);
    world.push("a", 1).await;
    world.script.always("a-1", Action::Permanent);
    let consumer = start(world.billing());
    until(|| consumer.read().dead == 1).await;
    consumer.stop().await;
    let failed_message = world.failed_message("a-1").await.id;
    (world, failed_message)
}

/// Creates a world without a running consumer. Its only message was set aside and is due within a second.
async fn world_with_a_due_failed_message(partitions: usize) -> World {
    let world = World::new(partitions);
    world.push("a", 1).await;
    world.script.next("a-1", [Action::Fail]);
    let consumer = start(world.billing());
    until(|| consumer.read().set_aside == 1).await;
    consumer.stop().await;
    world
}

#[tokio::test(start_paused = true)]
async fn late_duplicate_does_not_apply_a_failed_message() {
    let (world, _) = world_with_a_failed_message().await;
    world.script.heal();
    let consumer = start(world.billing());
    world.push("a", 1).await;
    until(|| world.committed(0) == 2).await;
    pass(seconds(60)).await;
    assert_eq!((world.applied().len(), world.script.runs().len()), (0, 1));
    assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::Dead);
    let stats = consumer.stop().await;
    assert_eq!((stats.duplicates, stats.handled), (1, 0));
}

/// A duplicate in a transaction that sets another message aside.
#[tokio::test(start_paused = true)]
async fn redelivered_failed_message_is_not_logged_again() {
    let log = Log::default();
    let _logged = log.begin();
    let world = World::new(1);
    let newer = |id: &str| {
        let data = r#""eventType":"orders.order.placed","dataVersion":"2.0","order":"a","n":1"#;
        Message::new(TOPIC, format!(r#"{{"eventId":"{id}",{data}}}"#))
    };
    world.publish_all(&[newer("a-1")]).await;
    let consumer = start(world.billing().on_failure(OnFailure::DeadLetter));
    until(|| world.committed(0) == 1).await;
    consumer.stop().await;
    world.publish_all(&[newer("a-1"), newer("a-2")]).await;
    let consumer = start(world.billing().on_failure(OnFailure::DeadLetter));
    until(|| world.committed(0) == 3).await;
    let lines = log.lines("failure_log");
    assert!(lines.len() == 2 && lines[0].contains("a-1") && lines[1].contains("a-2"), "{lines:?}");
    let stats = consumer.stop().await;
    assert_eq!((stats.duplicates, stats.dead + stats.set_aside, stats.batches), (1, 1, 1), "one transaction");
}

#[tokio::test(start_paused = true)]
async fn a_late_duplicate_of_a_scheduled_retry_changes_nothing() {
    let world = world_with_a_due_failed_message(1).await;
    let consumer = start(world.billing());
    world.push("a", 1).await;
    until(|| world.marker("a-1") == Some(Claim::Done)).await;
    world.push("a", 1).await;
    until(|| world.committed(0) == 3).await;
    assert_eq!(world.applied(), ["a-1"]);
    assert_eq!(world.script.attempts_of("a-1"), [1, 2]);
    let stats = consumer.stop().await;
    assert_eq!((stats.duplicates, stats.handled), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_that_a_person_retries_is_applied_once() {
    let (world, failed_message) = world_with_a_failed_message().await;
    world.script.heal();
    world.retry(failed_message).await.expect("it is dead");
    assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::RetryRequested);
    let consumer = start(world.billing());
    until(|| world.applied().len() == 1).await;
    pass(seconds(60)).await;
    assert_eq!(world.applied(), ["a-1"]);
    assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::Resolved);
    assert_eq!(world.marker("a-1"), Some(Claim::Done));
    let again = world.retry(failed_message).await.expect_err("it is resolved");
    assert_eq!(again.kind(), ErrorKind::WrongState);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_persons_who_retry_at_once_cause_one_run() {
    let (world, failed_message) = world_with_a_failed_message().await;
    world.script.always("a-1", Action::Take(seconds(1)));
    let consumers = [start(world.billing()), start(world.billing())];
    let (one, other) = tokio::join!(world.retry(failed_message), world.retry(failed_message));
    assert_eq!(one.is_ok() as u8 + other.is_ok() as u8, 1);
    until(|| world.applied().len() == 1).await;
    pass(seconds(60)).await;
    assert_eq!(world.applied(), ["a-1"]);
    assert_eq!(world.script.runs().len(), 2, "the first run, and the one that an operator requested");
    for consumer in consumers {
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_by_a_person_that_fails_is_dead_at_once() {
    let (world, failed_message) = world_with_a_failed_message().await;
    world.script.always("a-1", Action::Fail);
    let consumer = start(world.billing());
    world.retry(failed_message).await.expect("it is dead");
    until(|| world.script.runs().len() == 2).await;
    pass(seconds(600)).await;
    let failed_message = world.failed_message("a-1").await;
    assert_eq!(
        (failed_message.state, &*failed_message.kind, failed_message.attempts),
        (FailedMessageState::Dead, "failed", 1)
    );
    assert_eq!(world.script.runs().len(), 2);
    assert_eq!(consumer.stop().await.dead, 1);
}

#[tokio::test(start_paused = true)]
async fn failed_message_of_a_dead_process_is_retried_after_its_lease() {
    let world = world_with_a_due_failed_message(1).await;
    world.script.always("a-1", Action::Take(seconds(20)));
    let victim = start(world.billing());
    until(|| world.script.runs().len() == 2).await;
    victim.kill().await;
    assert_eq!(world.store.open_transactions(), 0);
    let consumer = start(world.billing());
    until(|| world.applied().len() == 1).await;
    let failed_message = world.failed_message("a-1").await;
    assert_eq!((failed_message.state, failed_message.crash_count), (FailedMessageState::Resolved, 1));
    assert_eq!(world.applied(), ["a-1"]);
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3]);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_that_outlives_its_lease_keeps_nothing() {
    let world = world_with_a_due_failed_message(2).await;
    world.script.next("a-1", [Action::Take(seconds(10))]);
    let flaky = Flaky::new(&world.store);
    flaky.shorten_leases();
    let suspended = start(world.consumer_on(CONSUMER, flaky));
    until(|| world.script.runs().len() == 2).await;
    let consumer = start(world.billing());
    until(|| !world.applied().is_empty()).await;
    pass(seconds(60)).await;
    assert_eq!(world.applied(), ["a-1"], "the run that was leased last counts");
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3]);
    let (handled, late) = (consumer.stop().await.handled, suspended.stop().await.handled);
    assert_eq!((handled, late), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_process_without_a_lane_runs_no_retries() {
    let world = World::new(1);
    world.push_all("a", 10).await;
    let takes_its_time = Action::Take(Duration::from_millis(300));
    names("a", 10).iter().for_each(|id| world.script.plan(id, [Action::Fail], takes_its_time));
    let works = start(world.billing());
    until(|| world.committed(0) == 10).await;
    let stands_by = start(world.billing());
    until(|| world.applied().len() == 10).await;
    assert_eq!(stands_by.stop().await.handled, 0);
    assert_eq!(works.stop().await.handled, 10);
}

#[tokio::test(start_paused = true)]
async fn failed_message_is_dead_and_never_rerun_after_five_crashes() {
    for (crash_count, dies) in [(4, false), (5, true)] {
        let world = world_with_a_due_failed_message(1).await;
        for _ in 0..crash_count {
            pass(seconds(2)).await;
            let leased = world.store.lease(CONSUMER, 1, seconds(1)).await.expect("lease");
            assert_eq!(leased.len(), 1, "it is due");
        }
        pass(seconds(2)).await;
        let consumer = start(world.billing().attempts(NonZeroU32::new(50).expect("50 > 0")));
        until(|| consumer.read().handled + consumer.read().dead == 1).await;
        let failed_message = world.failed_message("a-1").await;
        assert_eq!(failed_message.crash_count, crash_count);
        assert_eq!(
            failed_message.state,
            if dies { FailedMessageState::Dead } else { FailedMessageState::Resolved }
        );
        if dies {
            assert_eq!(
                (&*failed_message.kind, &*failed_message.error),
                ("poison_message", "ended its process 5 times")
            );
        }
        assert_eq!(world.script.runs().len(), if dies { 1 } else { 2 });
        consumer.stop().await;
    }
}

/// The store fails between the run of a failed message and the end of its lease.
#[tokio::test(start_paused = true)]
async fn an_outage_at_the_end_of_a_retry_counts_no_crash() {
    for (act, call) in [(Action::Fail, Call::Fail), (Action::Unavailable, Call::HandBack)] {
        let world = world_with_a_due_failed_message(1).await;
        world.script.next("a-1", [act]);
        let flaky = Flaky::new(&world.store);
        flaky.fail(call, ErrorKind::Unavailable);
        let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
        until(|| world.script.runs().len() == 2).await;
        pass(seconds(20)).await;
        flaky.heal();
        until(|| world.applied().len() == 1).await;
        let failed_message = world.failed_message("a-1").await;
        assert_eq!(
            (failed_message.crash_count, failed_message.state),
            (0, FailedMessageState::Resolved),
            "{call:?}"
        );
        let last = if act == Action::Fail { 3 } else { 2 };
        assert_eq!(world.script.attempts_of("a-1").last(), Some(&last), "{call:?}: attempts that count");
        let waited = world.script.runs()[2].at - world.script.runs()[1].at;
        assert!(waited < seconds(30), "{call:?}: it goes on soon after the outage, not after {waited:?}");
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn failed_message_in_conflict_is_retried_soon_without_spinning() {
    let world = world_with_a_due_failed_message(1).await;
    world.script.always("a-1", Action::Conflict);
    let consumer = start(world.billing());
    until(|| world.script.runs().len() > 1).await;
    pass(Duration::from_millis(200)).await;
    let runs = world.script.runs().len();
    assert!((10..=2_000).contains(&runs), "{runs} runs in a fifth of a second");
    world.script.heal();
    until(|| world.applied().len() == 1).await;
    let failed_message = world.failed_message("a-1").await;
    assert_eq!(
        (failed_message.attempts, failed_message.state),
        (1, FailedMessageState::Resolved),
        "conflicts burn nothing"
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_whose_transaction_cannot_begin_burns_no_attempt() {
    let world = world_with_a_due_failed_message(1).await;
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::Begin, ErrorKind::Other);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    pass(seconds(60)).await;
    assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::RetryScheduled);
    flaky.heal();
    until(|| world.applied().len() == 1).await;
    assert_eq!(world.script.attempts_of("a-1"), [1, 2]);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_contradicts_its_marker_is_dead_and_others_run() {
    let world = World::new(1);
    world.push_all("a", 5).await;
    names("a", 5).iter().for_each(|id| world.script.next(id, [Action::Fail]));
    world.store.fail_next(Failpoint::Resolve, ErrorKind::Corrupt);
    let consumer = start(world.billing());
    until(|| consumer.read().handled + consumer.read().dead == 5).await;
    let corrupt: Vec<_> = world
        .failed_messages()
        .await
        .into_iter()
        .filter(|failed_message| failed_message.kind == "corrupt")
        .collect();
    assert_eq!((corrupt.len(), corrupt[0].state), (1, FailedMessageState::Dead));
    assert_eq!(world.applied().len(), 4);
    consumer.stop().await;
}
