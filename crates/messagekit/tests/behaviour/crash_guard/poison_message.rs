//! Which message is dead after five crashes, and which ends of a process do not count.

use std::time::Duration;

use messagekit::operations::FailedMessageState;
use messagekit::{Claim, ErrorKind, OnFailure};

use super::{DEADLINE, FOR_EVER, after_a_death, first_of, lane_attempts, message_attempts};
use crate::fixture::{Action, CONSUMER, Running, World, id, names, pass, seconds, sorted, start, until};
use crate::flaky::{Call, Flaky};

fn consumer(world: &World, policy: OnFailure) -> Running {
    start(world.billing().deadline(DEADLINE).on_failure(policy))
}

/// Starts a process and kills it while the message is in its handler.
async fn dies_of(world: &World, killer: &str, policy: OnFailure) {
    let before = world.script.runs_of(killer).len();
    let victim = consumer(world, policy);
    until(|| world.script.runs_of(killer).len() > before).await;
    // Let all other lanes run first.
    pass(seconds(5)).await;
    victim.kill().await;
}

#[tokio::test(start_paused = true)]
async fn five_crashes_make_only_the_poison_message_dead() {
    for policy in [OnFailure::DeadLetter, OnFailure::Block] {
        let world = World::new(4);
        for key in ["a", "b", "c", "d"] {
            world.push_all(key, 20).await;
        }
        world.script.always("a-7", FOR_EVER);
        dies_of(&world, "a-7", policy).await;
        let lane = first_of(world.partition_of("a-7"));
        assert_eq!(
            (message_attempts(&world), lane_attempts(&world)),
            (vec![], vec![(lane, 1)]),
            "{policy:?}: its batch"
        );
        for deaths in 1..=5 {
            dies_of(&world, "a-7", policy).await;
            assert_eq!(message_attempts(&world), [(id("a-7"), deaths)], "{policy:?}");
            assert_eq!(world.marker("a-7"), None);
        }
        let survivor = consumer(&world, policy);
        pass(DEADLINE).await;
        assert_eq!(world.failed_messages().await.len(), 0, "the last one to run it might live");
        until(|| world.applied().len() == 79).await;
        let failed_message = world.failed_message("a-7").await;
        assert_eq!(
            (failed_message.state, &*failed_message.kind),
            (FailedMessageState::Dead, "poison_message")
        );
        assert_eq!(failed_message.error, "ended its process 5 times");
        assert_eq!(world.script.runs_of("a-7").len(), 6, "it does not run a sixth time alone");
        assert_eq!(world.failed_messages().await.len(), 1);
        assert_eq!(message_attempts(&world), []);
        assert_eq!(lane_attempts(&world), [], "the culprit is found");
        let innocents = ["a", "b", "c", "d"].iter().flat_map(|key| names(key, 20));
        let innocents = innocents.filter(|id| id != "a-7").collect();
        assert_eq!(sorted(world.applied()), sorted(innocents));

        // The handler is repaired.
        world.script.heal();
        world.retry(failed_message.id).await.expect("it is dead");
        until(|| world.marker("a-7") == Some(Claim::Done)).await;
        assert_eq!(survivor.stop().await.dead, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_runs_beside_a_message_with_an_attempt() {
    let world = after_a_death(3).await;
    world.push_all("e", 1).await;
    world.script.next("e-1", [Action::Fail]);
    let first = start(world.billing());
    until(|| world.failed_messages_now() == 1).await;
    first.stop().await;
    for key in ["a", "b", "c", "d"] {
        world.push_all(key, 5).await;
        names(key, 5).iter().for_each(|id| world.script.always(id, Action::Take(seconds(2))));
    }
    world.script.always("e-1", Action::Take(seconds(2)));
    let before = world.script.runs().len();
    let second = start(world.billing());
    until(|| world.applied().len() == 21).await;
    second.stop().await;
    let starts: Vec<_> = world.script.runs()[before..].iter().map(|run| run.at).collect();
    assert!(
        starts.windows(2).all(|pair| pair[1] - pair[0] >= seconds(2)),
        "each began when the one before it had ended: {starts:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn outages_conflicts_and_failures_count_no_death() {
    for (act, policy) in [
        (Action::Unavailable, OnFailure::DeadLetter),
        (Action::Conflict, OnFailure::DeadLetter),
        (Action::Fail, OnFailure::Block),
        (Action::Swallow, OnFailure::Block),
        (Action::TransactionTimeout, OnFailure::Block),
    ] {
        let world = after_a_death(1).await;
        world.push_all("a", 3).await;
        world.script.always("a-2", act);
        let flaky = Flaky::new(&world.store);
        let consumer = start(world.consumer_on(CONSUMER, flaky.clone()).on_failure(policy));
        until(|| world.script.runs_of("a-2").len() >= 20).await;
        pass(Duration::from_millis(1)).await;
        assert!(
            message_attempts(&world).iter().all(|(_, attempts)| *attempts == 1),
            "{act:?}: {:?}",
            message_attempts(&world)
        );
        assert!(flaky.calls(Call::BeginAttempt) > 2, "{act:?}: its messages have attempts");
        consumer.stop().await;
        assert_eq!(message_attempts(&world), [], "{act:?}");
        assert_eq!(world.failed_messages().await.len(), 0, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outage_during_an_attempt_counts_no_crash() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    let flaky = Flaky::new(&world.store);
    world.script.next("a-2", [Action::Take(seconds(2))]);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    for call in [Call::Commit, Call::Begin, Call::BeginAttempt, Call::WithdrawAttempt] {
        flaky.fail(call, ErrorKind::Unavailable);
    }
    pass(seconds(300)).await;
    assert_eq!(message_attempts(&world), [(id("a-2"), 1)]);
    flaky.heal();
    until(|| world.applied().len() == 3).await;
    assert_eq!(message_attempts(&world), []);
    assert_eq!(consumer.stop().await.dead, 0);
}

#[tokio::test(start_paused = true)]
async fn message_without_a_recorded_attempt_does_not_run() {
    for died in [false, true] {
        let world = if died { after_a_death(1).await } else { World::new(1) };
        let flaky = Flaky::new(&world.store);
        let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
        let warm_up = i64::from(died);
        if died {
            world.push_all("b", warm_up).await;
            until(|| world.committed(0) == warm_up).await;
        }
        flaky.fail(Call::BeginAttempt, ErrorKind::Unavailable);
        world.push_all("a", 3).await;
        pass(seconds(60)).await;
        assert_eq!(world.script.runs_of("a-1").len(), 0, "died: {died}");
        flaky.heal();
        until(|| world.committed(0) == 3 + warm_up).await;
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_message_is_forgotten_with_its_failed_message() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    world.script.next("a-1", [Action::Fail]);
    world.script.always("a-2", Action::Permanent);
    let consumer = start(world.billing());
    until(|| world.committed(0) == 3).await;
    assert_eq!(message_attempts(&world), []);
    until(|| world.applied().len() == 2).await;
    assert_eq!(consumer.stop().await.dead, 1);
}
