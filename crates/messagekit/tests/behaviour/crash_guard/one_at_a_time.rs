//! Order of a lane after a crash: one message at a time while the poison message may be among them.

use messagekit::adapter::Attempts;
use messagekit_memory::TestGate;

use super::{DEADLINE, FOR_EVER, after_a_death, first_of, lane_attempts, message_attempts};
use crate::fixture::{CONSUMER, TOPIC, World, id, names, pass, placed, seconds, start, until};
use crate::flaky::{Call, Flaky};

#[tokio::test(start_paused = true)]
async fn lane_without_crashes_works_in_batches_from_the_start() {
    let world = World::new(1);
    world.push_all("a", 550).await;
    let flaky = Flaky::new(&world.store);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.applied().len() == 550).await;
    assert_eq!(
        (consumer.read().batches, flaky.calls(Call::BeginAttempt)),
        (11, 1),
        "the first batch has an attempt"
    );
    world.log.lose(CONSUMER);
    world.push_all("b", 100).await;
    until(|| world.applied().len() == 650).await;
    assert_eq!(
        (consumer.read().batches, flaky.calls(Call::BeginAttempt)),
        (13, 2),
        "and after an assignment"
    );
    assert_eq!(world.store.in_flight_attempts(CONSUMER), []);

    // Killed after its first batch, so the crashing message is unknown.
    world.script.always("c-1", FOR_EVER);
    world.push_all("c", 1).await;
    until(|| world.script.runs_of("c-1").len() == 1).await;
    consumer.kill().await;
    assert_eq!(world.store.in_flight_attempts(CONSUMER), []);
    world.script.heal();
    world.push_all("d", 99).await;
    let next = start(world.billing());
    until(|| world.applied().len() == 750).await;
    assert_eq!(next.stop().await.batches, 2, "a process that was killed makes no slow start");
}

#[tokio::test(start_paused = true)]
async fn after_a_crash_one_batch_runs_one_by_one_then_batches_return() {
    let world = after_a_death(1).await;
    world.push_all("a", 49).await;
    let consumer = start(world.billing());
    until(|| world.applied().len() == 49).await;
    assert_eq!(
        lane_attempts(&world),
        [(first_of(0), 1)],
        "a process that crashes now leaves the next one as guarded"
    );
    let rest: Vec<_> = (1..=501).map(|n| placed("b", n)).collect();
    world.publish_all(&rest).await;
    until(|| world.applied().len() == 550).await;
    assert_eq!(world.applied(), [names("a", 49), names("b", 501)].concat());
    let batches = consumer.read().batches;
    // The batch during which the guard ends is finished as it began.
    assert!((50 + 10..=49 + 50 + 10).contains(&batches), "{batches}");
    assert_eq!(world.store.in_flight_attempts(CONSUMER), []);
    world.log.lose(CONSUMER);
    world.push_all("c", 100).await;
    until(|| world.applied().len() == 650).await;
    assert_eq!(consumer.stop().await.batches, batches + 2, "that death is over");
}

#[tokio::test(start_paused = true)]
async fn guarded_start_that_is_cut_short_is_repeated_at_the_next_one() {
    let world = after_a_death(1).await;
    for (key, batches) in [("a", 30), ("b", 30), ("c", 30)] {
        world.push_all(key, batches).await;
        let run = start(world.billing());
        until(|| world.committed(0) % 30 == 0 && world.script.runs_of(&format!("{key}-30")).len() == 1).await;
        assert_eq!(run.stop().await.batches, u64::try_from(batches).expect("some"));
        assert_eq!(world.store.in_flight_attempts(CONSUMER), [(first_of(0), 1)]);
    }
}

/// The message that crashed a process is delivered again at once.
#[tokio::test(start_paused = true)]
async fn an_idle_lane_leaves_the_crash_guard_after_a_while() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    let consumer = start(world.billing());
    until(|| world.applied().len() == 3).await;
    pass(seconds(5)).await;
    world.push_all("b", 3).await;
    until(|| world.applied().len() == 6).await;
    assert_eq!(world.store.in_flight_attempts(CONSUMER), [(first_of(0), 1)], "it may still come");
    pass(seconds(11)).await;
    let late: Vec<_> = (1..=40).map(|n| placed("c", n)).collect();
    world.publish_all(&late).await;
    until(|| world.applied().len() == 46).await;
    assert_eq!(world.store.in_flight_attempts(CONSUMER), []);
    assert_eq!(consumer.stop().await.batches, 6 + 1);
}

#[tokio::test(start_paused = true)]
async fn each_key_lane_of_a_partition_is_guarded_by_itself() {
    let world = World::new(1);
    for key in ["a", "b", "c", "d", "e", "f"] {
        world.push_all(key, 20).await;
    }
    world.script.always("a-1", FOR_EVER);
    let lanes = std::num::NonZeroU32::new(4).expect("some");
    let key_lanes = || world.billing().key_lanes(lanes).deadline(DEADLINE);
    let victim = start(key_lanes());
    until(|| world.script.runs_of("a-1").len() == 1).await;
    pass(seconds(5)).await;
    victim.kill().await;
    let left = lane_attempts(&world);
    let [(key_lane, 1)] = &left[..] else { panic!("one key lane, not {left:?}") };
    assert!(key_lane.as_str().starts_with(&format!("at:{TOPIC}/0/")), "{key_lane}");

    // The other messages of a's key lane wait with it.
    let waiting = 120 - world.applied().len();
    let second = start(key_lanes());
    until(|| world.script.runs_of("a-1").len() == 2).await;
    assert_eq!(message_attempts(&world), [(id("a-1"), 1)]);
    assert_eq!(lane_attempts(&world), left);
    second.kill().await;
    world.script.heal();
    let third = start(key_lanes());
    until(|| world.applied().len() == 120).await;
    let batches = third.stop().await.batches as usize;
    assert!(
        (waiting..=waiting + 3).contains(&batches),
        "{waiting} one by one, the others as they come: {batches}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_holds_a_guarded_lane_like_any_other() {
    let world = after_a_death(2).await;
    world.push_all("a", 1).await;
    world.push_all("b", 1).await;
    let gate = TestGate::new();
    let consumer = start(world.billing().gate(gate.clone()));
    until(|| world.applied().len() == 2).await;
    gate.close();
    for key in ["a", "b"] {
        world.push(key, 2).await;
        world.push(key, 3).await;
    }
    pass(seconds(60)).await;
    assert_eq!((world.script.runs().len(), message_attempts(&world)), (2, vec![]));
    gate.open();
    until(|| world.applied().len() == 6).await;
    consumer.stop().await;
}

/// Two readers of one queue: the messages in flight in one are redelivered to the other, after those it has finished.
#[tokio::test(start_paused = true)]
async fn attempt_found_late_guards_the_lane_as_one_at_a_start() {
    let world = World::new(1);
    world.push_all("a", 45).await;
    let reader = start(world.billing());
    until(|| world.applied().len() == 45).await;
    world
        .store
        .begin_attempt(CONSUMER, &first_of(0), "another reader")
        .await
        .expect("the attempt is recorded");
    let rest: Vec<_> = (1..=20).map(|n| placed("b", n)).collect();
    world.publish_all(&rest).await;
    until(|| world.applied().len() == 65).await;
    assert_eq!(lane_attempts(&world), [(first_of(0), 1)], "five were left, and now it may be any of fifty");
    assert!(reader.stop().await.batches > 20);
}
