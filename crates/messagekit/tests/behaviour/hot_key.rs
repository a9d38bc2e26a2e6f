//! A key with many messages blocked by a failed one: they are applied in runs, and a failure in a run affects one
//! message.

use std::time::Duration;

use messagekit::gate::RateLimit;
use messagekit::operations::{FailedMessageState, FailedMessages, Operator};
use messagekit::{ErrorKind, OnFailure, ParkingLimits};
use messagekit_memory::Failpoint;
use tokio::time::Instant;

use crate::fixture::{Action, Builder, World, names, pass, placed, seconds, start, until};

fn parking(world: &World) -> Builder {
    world.billing().on_failure(OnFailure::ParkKey)
}

/// Creates a world in which `a-1` has failed once and blocks all later messages.
async fn blocked(messages: i64) -> World {
    let world = World::new(1);
    world.push_all("a", messages).await;
    world.script.next("a-1", [Action::Fail]);
    world
}

#[tokio::test(start_paused = true)]
async fn what_waits_behind_a_key_is_applied_in_batches() {
    let world = blocked(201).await;
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 201).await;
    let before = consumer.read().batches;
    until(|| world.applied().len() == 201).await;
    assert_eq!(world.applied(), names("a", 201));
    let batches = consumer.read().batches - before;
    assert!(batches <= 6, "one for the head, four for the 200 behind it: {batches}");
    assert_eq!(world.script.attempts_of("a-1"), [1, 2]);
    assert!(
        world
            .failed_messages()
            .await
            .iter()
            .skip(1)
            .all(|failed_message| (failed_message.attempts, failed_message.crash_count) == (0, 0))
    );
    world.push("a", 202).await;
    until(|| world.applied().len() == 202).await;
    assert_eq!(world.failed_messages_now(), 201, "the key is free");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_of_a_run_that_fails_blocks_the_key_by_itself() {
    let world = blocked(20).await;
    world.script.always("a-5", Action::Permanent);
    let consumer = start(parking(&world));
    until(|| consumer.read().dead == 1).await;
    pass(seconds(60)).await;
    assert_eq!(world.applied(), names("a", 4));
    assert_eq!(world.script.attempts_of("a-5"), [1, 1], "among others, and then by itself");
    assert_eq!(world.script.runs_of("a-6"), [], "what is behind it does not run");
    let head = world.failed_message("a-5").await;
    assert_eq!((head.state, head.attempts, head.holds_back), (FailedMessageState::Dead, 1, 15));
    for n in 6..=20 {
        let waiting = world.failed_message(&format!("a-{n}")).await;
        assert_eq!(
            (waiting.state, waiting.attempts, waiting.crash_count),
            (FailedMessageState::Blocked, 0, 0)
        );
    }
    world.script.heal();
    world.retry(head.id).await.expect("it is dead");
    until(|| world.applied().len() == 20).await;
    assert_eq!(world.applied(), names("a", 20));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn failing_requested_retry_is_dead_and_its_key_stays_blocked() {
    let world = World::new(1);
    world.push_all("a", 5).await;
    world.script.always("a-1", Action::Permanent);
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 5).await;
    world.script.always("a-1", Action::Fail);
    world.retry(world.failed_message("a-1").await.id).await.expect("it is dead");
    until(|| world.script.runs_of("a-1").len() == 2).await;
    pass(seconds(60)).await;
    assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::Dead);
    assert_eq!(world.applied().len(), 0);
    for n in 2..=5 {
        let waiting = world.failed_message(&format!("a-{n}")).await;
        assert_eq!((waiting.state, waiting.attempts), (FailedMessageState::Blocked, 0));
    }
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_message_that_crashes_a_key_run_is_dead_and_no_other_is() {
    let world = blocked(12).await;
    // Longer than the test: the process is killed during this run.
    world.script.always("a-7", Action::Take(seconds(100_000)));
    for deaths in 1..=6 {
        let consumer = start(parking(&world));
        until(|| world.script.runs_of("a-7").len() == deaths).await;
        consumer.kill().await;
    }
    let consumer = start(parking(&world));
    until(|| consumer.read().dead == 1).await;
    pass(seconds(300)).await;
    let killer = world.failed_message("a-7").await;
    assert_eq!(
        (killer.state, &*killer.kind, killer.crash_count),
        (FailedMessageState::Dead, "poison_message", 5)
    );
    assert_eq!(world.script.runs_of("a-7").len(), 6);
    assert_eq!(world.applied(), names("a", 6));
    for n in (1..=6).chain(8..=12) {
        let innocent = world.failed_message(&format!("a-{n}")).await;
        let failed_runs = u32::from(n == 1);
        assert_eq!((innocent.crash_count, innocent.attempts), (0, failed_runs), "a-{n} is innocent");
    }
    world.script.heal();
    world.retry(killer.id).await.expect("it is dead");
    until(|| world.applied().len() == 12).await;
    assert_eq!(world.applied(), names("a", 12));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn outage_in_a_key_run_burns_no_attempt_and_keeps_earlier_work() {
    let world = blocked(10).await;
    world.script.next("a-4", [Action::Unavailable; 5]);
    let consumer = start(parking(&world));
    until(|| world.script.runs_of("a-4").len() == 2).await;
    assert_eq!(world.applied(), names("a", 3));
    until(|| world.applied().len() == 10).await;
    assert_eq!(world.applied(), names("a", 10));
    assert!(world.script.attempts_of("a-4").iter().all(|attempt| *attempt == 1));
    let failed_messages = world.failed_messages().await;
    assert!(
        failed_messages
            .iter()
            .skip(1)
            .all(|failed_message| (failed_message.attempts, failed_message.crash_count) == (0, 0))
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_key_run_is_split_until_the_failing_message_is_alone() {
    let world = blocked(40).await;
    world.script.always("a-23", Action::Swallow);
    let consumer = start(parking(&world));
    until(|| world.applied().len() == 22).await;
    pass(seconds(5)).await;
    assert_eq!(world.applied(), names("a", 22));
    let head = world.failed_message("a-23").await;
    assert_eq!((head.state, &*head.kind), (FailedMessageState::RetryScheduled, "transaction"));
    assert_eq!(world.failed_message("a-24").await.attempts, 0);
    world.script.heal();
    until(|| world.applied().len() == 40).await;
    assert_eq!(world.applied(), names("a", 40));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_conflict_in_a_run_costs_no_attempt() {
    let world = blocked(30).await;
    world.script.next("a-2", [Action::Conflict; 3]);
    world.script.next("a-20", [Action::Conflict; 3]);
    let consumer = start(parking(&world));
    until(|| world.applied().len() == 30).await;
    assert_eq!(world.applied(), names("a", 30));
    assert!(
        world
            .failed_messages()
            .await
            .iter()
            .skip(1)
            .all(|failed_message| (failed_message.attempts, failed_message.crash_count) == (0, 0))
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn runs_keep_to_a_rate_limit() {
    let world = World::new(1);
    world.push_all("a", 60).await;
    world.script.always("a-1", Action::Permanent);
    let consumer = start(parking(&world).gate(RateLimit::per_second(10)));
    until(|| world.committed(0) == 60).await;
    pass(seconds(10)).await;
    world.script.heal();
    world.retry(world.failed_message("a-1").await.id).await.expect("it is dead");
    let began = Instant::now();
    until(|| world.applied().len() == 60).await;
    let took = began.elapsed();
    assert!(took >= seconds(4), "60 messages at 10 per second, of which 10 at once: {took:?}");
    assert_eq!(world.applied(), names("a", 60));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_ends_when_the_time_of_its_transaction_is_up() {
    let world = blocked(30).await;
    for n in 2..=30 {
        world.script.always(&format!("a-{n}"), Action::Take(Duration::from_millis(20)));
    }
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 30).await;
    let before = consumer.read().batches;
    until(|| world.applied().len() == 30).await;
    let batches = consumer.read().batches - before;
    assert!((9..=15).contains(&batches), "three messages of 20 ms fit into 50 ms: {batches}");
    assert_eq!(world.applied(), names("a", 30));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn action_on_a_message_of_a_key_run_rolls_it_back_without_cost() {
    let world = blocked(6).await;
    world.script.next("a-3", [Action::Take(Duration::from_millis(30))]);
    let consumer = start(parking(&world));
    until(|| world.script.runs_of("a-3").len() == 1).await;
    world
        .act(messagekit::operations::Action::Discard, world.failed_message("a-5").await.id)
        .await
        .expect("it waits");
    let acted = Instant::now();
    until(|| world.applied().len() == 5).await;
    assert!(acted.elapsed() < seconds(5), "no lease had to end: {:?}", acted.elapsed());
    assert_eq!(world.applied(), ["a-1", "a-2", "a-3", "a-4", "a-6"]);
    for n in [2, 3, 4, 6] {
        let failed_message = world.failed_message(&format!("a-{n}")).await;
        assert_eq!((failed_message.attempts, failed_message.crash_count), (0, 0), "a-{n}");
    }
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_requested_retry_runs_alone_while_other_keys_drain() {
    let world = World::new(1);
    for key in ["a", "b"] {
        world.push_all(key, 5).await;
        world.script.next(&format!("{key}-1"), [Action::Permanent]);
    }
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 10).await;
    world.script.always("b-1", Action::Take(seconds(100_000)));
    let (a, b) = (world.failed_message("a-1").await.id, world.failed_message("b-1").await.id);
    world
        .store
        .act(messagekit::operations::Action::Retry, &[a, b], &Operator::new("ann", "test"))
        .await
        .expect("it is answered");
    until(|| world.script.runs_of("b-1").len() == 2).await;
    assert!(world.applied().contains(&"a-1".to_owned()), "something was applied before");
    consumer.kill().await;

    let consumer = start(parking(&world));
    until(|| world.script.runs_of("b-1").len() == 3).await;
    assert_eq!(world.failed_message("b-1").await.crash_count, 1, "the death was its own");
    consumer.kill().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_while_a_run_is_applied_is_taken_into_it() {
    let world = blocked(3).await;
    let slow = Action::Take(Duration::from_millis(20));
    world.script.next("a-2", [slow]);
    world.script.next("a-4", [slow]);
    let consumer = start(parking(&world));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    world.push("a", 4).await;
    until(|| world.applied().len() > 1).await;
    assert_eq!(world.applied(), names("a", 4), "one commit");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_run_holds_no_more_bytes_than_a_lane() {
    let world = World::new(1);
    world.push("a", 1).await;
    for n in 2..=20 {
        let mut large = placed("a", n);
        let padded = [&*large.payload, &*vec![b' '; 800 << 10]].concat();
        large.payload = padded.into();
        world.publish(large).await;
        world.script.next(&format!("a-{n}"), [Action::Take(Duration::from_millis(1))]);
    }
    world.script.next("a-1", [Action::Fail]);
    let consumer = start(parking(&world));
    until(|| world.applied().len() > 1).await;
    assert_eq!(world.applied(), names("a", 12), "a-2 leads, and ten of 800 KiB fit into 8 MiB behind it");
    until(|| world.applied().len() == 20).await;
    assert_eq!(world.applied(), names("a", 20));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn key_over_its_parking_limit_is_drained_without_long_pauses() {
    let world = World::new(1);
    world.push_all("a", 300).await;
    world.script.next("a-1", [Action::Permanent]);
    let room = ParkingLimits { per_key: 10, in_all: 100 };
    let consumer = start(parking(&world).parking_limits(room));
    until(|| world.failed_messages_now() == 10).await;
    pass(seconds(600)).await;
    world.retry(world.failed_message("a-1").await.id).await.expect("it is dead");
    let began = Instant::now();
    until(|| world.applied().len() == 300).await;
    assert_eq!(world.applied(), names("a", 300));
    assert!(began.elapsed() < seconds(10), "the lane looks each second: {:?}", began.elapsed());
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_when_a_run_begins_costs_no_attempt() {
    let world = blocked(5).await;
    let consumer = start(parking(&world));
    until(|| world.committed(0) == 5).await;
    world.store.fail_next(Failpoint::BeginRun, ErrorKind::Unavailable);
    until(|| world.applied().len() == 5).await;
    assert_eq!(world.applied(), names("a", 5));
    for n in 2..=5 {
        let failed_message = world.failed_message(&format!("a-{n}")).await;
        assert_eq!((failed_message.attempts, failed_message.crash_count), (0, 0), "a-{n}");
    }
    consumer.stop().await;
}
