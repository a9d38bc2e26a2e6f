//! Outages and conflicts use no attempt and set nothing aside; the consumer continues when they end.

use std::time::Duration;

use messagekit::operations::FailedMessageState;
use messagekit::{ErrorKind, OnFailure};
use messagekit_memory::{Failpoint, TestGate};

use crate::counted::{Counted, Counts};
use crate::fixture::{Action, CALM, CONSUMER, World, names, pass, seconds, sorted, start, until};
use crate::flaky::{Call, Flaky};

const FIVE_MINUTES: Duration = Duration::from_secs(300);

#[tokio::test(start_paused = true)]
async fn five_minutes_without_a_store_burn_no_attempt_and_fail_none() {
    for policy in [OnFailure::DeadLetter, OnFailure::Block] {
        for call in [Call::Begin, Call::Claim, Call::Advance, Call::Commit] {
            let world = World::new(2);
            world.push_all("a", 60).await;
            world.push_all("b", 60).await;
            let flaky = Flaky::new(&world.store);
            flaky.fail(call, ErrorKind::Unavailable);
            let consumer = start(world.consumer_on(CONSUMER, flaky.clone()).on_failure(policy));
            pass(FIVE_MINUTES).await;
            assert_eq!((world.applied().len(), consumer.read().handled), (0, 0), "{call:?}");

            flaky.heal();
            pass(seconds(6)).await;
            let all: Vec<_> = [names("a", 60), names("b", 60)].concat();
            assert_eq!(sorted(world.applied()), sorted(all), "{call:?}");
            assert!(world.script.runs().iter().all(|run| run.attempt == 1), "{call:?}");
            assert_eq!(world.failed_messages().await.len(), 0, "{call:?}");
            let stats = consumer.stop().await;
            assert_eq!((stats.handled, stats.set_aside, stats.dead), (120, 0, 0), "{call:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_without_a_store_waits_for_it() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::NextOf, ErrorKind::Unavailable);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    pass(FIVE_MINUTES).await;
    assert!(world.applied().is_empty());

    flaky.heal();
    until(|| world.applied().len() == 3).await;
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_start_without_tables_ends_at_once() {
    let world = World::new(1);
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::NextOf, ErrorKind::Schema);
    let consumer = world.consumer_on(CONSUMER, flaky).build().unwrap();
    assert_eq!(consumer.run(std::future::pending()).await.unwrap_err().kind(), ErrorKind::Schema);
}

#[tokio::test(start_paused = true)]
async fn the_source_learns_what_the_database_remembers() {
    let world = World::new(1);
    let counts = Counts::default();
    for (key, remembered) in [("a", None), ("b", Some(3))] {
        world.push_all(key, 3).await;
        let consumer = start(world.billing_from(Counted::new(world.topics(), &counts)));
        until(|| world.applied().iter().filter(|name| name.starts_with(key)).count() == 3).await;
        consumer.stop().await;
        assert_eq!(counts.remembered().first().map(|noted| noted.next), remembered);
    }
}

#[tokio::test(start_paused = true)]
async fn outage_while_recording_a_failure_burns_no_attempt() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.always("a-2", Action::Fail);
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::SetAside, ErrorKind::Unavailable);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    pass(FIVE_MINUTES).await;
    assert_eq!(world.failed_messages().await.len(), 0);
    assert!(world.script.runs_of("a-2").iter().all(|run| run.attempt == 1));

    world.script.heal();
    flaky.heal();
    until(|| world.applied().len() == 3).await;
    assert_eq!(world.applied(), names("a", 3));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_burns_no_attempt_of_scheduled_retries() {
    for call in [Call::Lease, Call::Begin, Call::Resolve, Call::Commit] {
        let world = World::new(1);
        world.push_all("a", 1).await;
        world.script.next("a-1", [Action::Fail]);
        let flaky = Flaky::new(&world.store);
        let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
        until(|| consumer.read().set_aside == 1).await;
        flaky.fail(call, ErrorKind::Unavailable);
        pass(FIVE_MINUTES).await;
        assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::RetryScheduled, "{call:?}");
        flaky.heal();
        pass(seconds(6)).await;
        let failed_message = world.failed_message("a-1").await;
        assert_eq!(
            (failed_message.state, failed_message.attempts, failed_message.crash_count),
            (FailedMessageState::Resolved, 1, 0),
            "{call:?}"
        );
        assert_eq!(world.applied(), ["a-1"]);
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_whose_dependency_is_down_waits_and_burns_nothing() {
    let world = World::new(1);
    world.script.always("a-3", Action::Unavailable);
    let gate = TestGate::new();
    let consumer = world.start_calm(world.billing().gate(gate.clone())).await;
    let before = consumer.read().handled;
    world.push_all("a", 5).await;
    pass(FIVE_MINUTES).await;
    assert_eq!(world.applied(), ["a-1", "a-2"], "what stands before it does not wait with it");
    let runs = world.script.runs_of("a-3").len();
    assert!((30..150).contains(&runs), "it runs again all the time, every few seconds: {runs}");
    assert!(world.script.runs().iter().all(|run| run.attempt == 1));
    assert_eq!(world.script.runs_of("a-1").len(), 2, "nor does it run again each time");

    world.script.heal();
    pass(seconds(6)).await;
    assert_eq!(world.applied(), names("a", 5));
    let stats = consumer.stop().await;
    assert_eq!((stats.handled - before, stats.set_aside), (5, 0));
    assert_eq!(world.failed_messages().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn failed_message_waits_for_its_dependency_and_burns_no_attempt() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.next("a-1", [Action::Fail]);
    let consumer = start(world.billing());
    until(|| consumer.read().set_aside == 1).await;
    world.script.always("a-1", Action::Unavailable);
    pass(FIVE_MINUTES).await;
    assert!(world.script.attempts_of("a-1")[1..].iter().all(|attempt| *attempt == 2));
    world.script.heal();
    pass(seconds(6)).await;
    let failed_message = world.failed_message("a-1").await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, failed_message.crash_count),
        (FailedMessageState::Resolved, 1, 0)
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn conflicts_shrink_the_batch_and_success_grows_it_back() {
    let world = World::new(1);
    let gate = TestGate::new();
    let consumer = world.start_calm(world.billing().gate(gate.clone())).await;
    let (before, admitted) = (consumer.read().handled, gate.admitted().len());
    for _ in 0..3 {
        world.store.fail_next(Failpoint::Claim, ErrorKind::Conflict);
    }
    world.push_all("a", 400).await;
    until(|| world.applied().len() == 400).await;
    let sizes: Vec<u32> =
        gate.admitted()[admitted..].iter().filter(|view| view.bytes > 0).map(|view| view.messages).collect();
    assert_eq!(sizes[..7], [50, 25, 12, 6, 12, 24, 48]);
    assert_eq!(sizes[7], 50);
    assert_eq!(world.applied(), names("a", 400));
    assert!(world.script.runs().iter().all(|run| run.attempt == 1));
    let stats = consumer.stop().await;
    assert_eq!((stats.handled - before, stats.rolled_back), (400, 3));
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_meets_conflicts_for_minutes_burns_nothing() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.always("a-2", Action::Conflict);
    let consumer = start(world.billing());
    pass(seconds(60)).await;
    assert_eq!(world.applied(), ["a-1"], "smaller batches let the others through");
    world.script.heal();
    until(|| world.applied().len() == 3).await;
    assert!(world.script.runs().iter().all(|run| run.attempt == 1));
    assert_eq!((world.failed_messages().await.len(), consumer.stop().await.set_aside), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn a_commit_whose_answer_is_lost_has_its_effects_once() {
    for (failpoint, duplicates, runs) in
        [(Failpoint::CommitUnknownKept, 20, 20), (Failpoint::CommitUnknownLost, 0, 40)]
    {
        let world = World::new(1);
        let consumer = world.start_calm(world.billing()).await;
        world.push_all("a", 20).await;
        world.store.fail_next(failpoint, ErrorKind::OutcomeUnknown);
        until(|| world.committed(0) == CALM + 20).await;
        let stats = consumer.stop().await;
        assert_eq!(world.applied(), names("a", 20), "{failpoint:?}");
        assert_eq!((stats.duplicates, world.script.runs().len()), (duplicates, runs), "{failpoint:?}");
        assert_eq!(world.failed_messages().await.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_set_aside_whose_answer_is_lost_makes_one_failed_message() {
    for failpoint in [Failpoint::CommitUnknownKept, Failpoint::CommitUnknownLost] {
        let world = World::new(1);
        world.push_all("a", 1).await;
        world.script.always("a-1", Action::Permanent);
        world.store.fail_next(failpoint, ErrorKind::OutcomeUnknown);
        let consumer = start(world.billing());
        until(|| world.committed(0) == 1).await;
        consumer.stop().await;
        assert_eq!(world.failed_messages().await.len(), 1, "{failpoint:?}");
        assert_eq!(world.failed_message("a-1").await.attempts, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_whose_answer_is_lost_has_its_effect_once() {
    for failpoint in [Failpoint::CommitUnknownKept, Failpoint::CommitUnknownLost] {
        let world = World::new(1);
        world.push_all("a", 1).await;
        world.script.next("a-1", [Action::Fail]);
        let consumer = start(world.billing());
        until(|| consumer.read().set_aside == 1).await;
        world.store.fail_next(failpoint, ErrorKind::OutcomeUnknown);
        pass(seconds(60)).await;
        assert_eq!(world.applied(), ["a-1"], "{failpoint:?}");
        let failed_message = world.failed_message("a-1").await;
        assert_eq!(
            (failed_message.state, failed_message.attempts),
            (FailedMessageState::Resolved, 1),
            "{failpoint:?}"
        );
        consumer.stop().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_permanent_store_error_ends_the_consumer_and_loses_nothing() {
    for kind in [ErrorKind::Schema, ErrorKind::Corrupt, ErrorKind::Closed] {
        for call in [Call::Begin, Call::Claim, Call::Advance, Call::Commit, Call::SetAside, Call::Lease] {
            let world = World::new(2);
            world.push_all("a", 30).await;
            world.push_all("b", 30).await;
            world.script.next("a-7", [Action::Fail]);
            let flaky = Flaky::new(&world.store);
            flaky.fail(call, kind);
            let consumer = start(world.consumer_on(CONSUMER, flaky));
            let error = consumer.ended().await.expect_err("it cannot go on");
            assert_eq!(error.kind(), kind, "{call:?}");
            assert_eq!(error.context("call"), Some(&*format!("{call:?}")));
            pass(seconds(1)).await;
            assert_eq!(world.store.open_transactions(), 0);

            let consumer = start(world.billing());
            until(|| world.applied().len() == 60).await;
            let all: Vec<_> = [names("a", 30), names("b", 30)].concat();
            assert_eq!(sorted(world.applied()), sorted(all));
            consumer.stop().await;
        }
    }
}

/// If no handler caused it, an unknown error is the store's own. Ending is better than setting everything aside.
#[tokio::test(start_paused = true)]
async fn a_store_that_refuses_every_commit_ends_the_consumer() {
    let world = World::new(1);
    world.push_all("a", 8).await;
    let flaky = Flaky::new(&world.store);
    flaky.fail(Call::Commit, ErrorKind::Other);
    let error = start(world.consumer_on(CONSUMER, flaky)).ended().await.expect_err("it cannot go on");
    assert_eq!(error.kind(), ErrorKind::Other);
    assert_eq!((world.failed_messages().await.len(), world.committed(0)), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn fenced_lane_is_released_and_reread_after_reassignment() {
    let world = World::new(1);
    world.push_all("a", 100).await;
    world.store.fail_next(Failpoint::Advance, ErrorKind::Fenced);
    let counts = Counts::default();
    let consumer = start(world.billing_from(Counted::new(world.topics(), &counts)));
    pass(seconds(60)).await;
    assert_eq!(counts.pulled(), counts.back(), "given back, and not pulled again");
    assert!((50..=100).contains(&counts.pulled()), "{} pulled", counts.pulled());
    assert_eq!((world.applied().len(), world.committed(0)), (0, 0), "the other process has it");
    world.log.lose(CONSUMER);
    until(|| world.committed(0) == 100).await;
    assert_eq!(world.applied(), names("a", 100));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_hour_without_the_store_costs_a_running_retry_nothing() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.next("a-1", [Action::Fail, Action::Take(seconds(5))]);
    let flaky = Flaky::new(&world.store);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.script.runs_of("a-1").len() == 2).await;
    for call in [Call::Begin, Call::Commit, Call::Resolve, Call::Lease, Call::Fail, Call::HandBack] {
        flaky.fail(call, ErrorKind::Unavailable);
    }
    pass(seconds(3_600)).await;
    flaky.heal();
    until(|| world.applied().len() == 1).await;
    let failed_message = world.failed_message("a-1").await;
    assert_eq!(
        (failed_message.state, failed_message.attempts, failed_message.crash_count),
        (FailedMessageState::Resolved, 1, 0)
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn lone_failed_message_waits_an_hour_and_burns_no_attempt() {
    let world = World::new(1);
    world.push_all("a", 1).await;
    world.script.next("a-1", [Action::Fail]);
    let consumer = start(world.billing());
    until(|| consumer.read().set_aside == 1).await;
    world.script.always("a-1", Action::Unavailable);
    pass(seconds(3_600)).await;
    assert!(world.script.attempts_of("a-1")[1..].iter().all(|attempt| *attempt == 2), "nothing is burnt");
    world.script.heal();
    pass(seconds(6)).await;
    let failed_message = world.failed_message("a-1").await;
    assert_eq!((failed_message.state, failed_message.attempts), (FailedMessageState::Resolved, 1));
    consumer.stop().await;
}
