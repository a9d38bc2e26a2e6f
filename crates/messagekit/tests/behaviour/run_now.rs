//! A run that is planned for later and that an operator wants now.

use std::time::Duration;

use messagekit::gate::{BreakerState, CircuitBreaker};
use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, OnFailure};

use crate::fixture::{Action, Builder, World, pass, seconds, start, until};

/// A consumer that retries a failed message after two hours.
fn patient(world: &World) -> Builder {
    world.billing().backoff(Backoff::fixed(Duration::from_secs(7_200)))
}

/// Creates a world whose only message has failed once and is due in two hours. Returns the number of its failed message.
async fn world_with_a_scheduled_message() -> (World, i64) {
    let world = World::new(1);
    world.push("a", 1).await;
    world.script.next("a-1", [Action::Fail]);
    let consumer = start(patient(&world));
    until(|| consumer.read().set_aside == 1).await;
    consumer.stop().await;
    let id = world.failed_message("a-1").await.id;
    (world, id)
}

#[tokio::test(start_paused = true)]
async fn a_scheduled_message_is_run_when_an_operator_retries_it() {
    let (world, id) = world_with_a_scheduled_message().await;
    let consumer = start(patient(&world));
    pass(seconds(60)).await;
    assert!(world.applied().is_empty(), "it is due in two hours");
    world.retry(id).await.expect("it waits for its time");
    pass(seconds(1)).await;
    assert_eq!(world.applied(), ["a-1"]);
    assert_eq!(world.script.attempts_of("a-1"), [1, 2], "it is the next attempt");
    assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::Resolved);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_retried_run_that_fails_is_scheduled_again() {
    let (world, id) = world_with_a_scheduled_message().await;
    world.script.next("a-1", [Action::Fail]);
    let consumer = start(patient(&world));
    world.retry(id).await.expect("it waits for its time");
    until(|| world.script.runs().len() == 2).await;
    pass(seconds(3_600)).await;
    let failed = world.failed_message("a-1").await;
    assert_eq!((failed.state, failed.attempts), (FailedMessageState::RetryScheduled, 2), "not dead");
    pass(seconds(7_200)).await;
    assert_eq!(world.applied(), ["a-1"], "it goes on by itself");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn two_operators_who_want_a_run_now_cause_one_run() {
    let (world, id) = world_with_a_scheduled_message().await;
    world.script.always("a-1", Action::Take(seconds(5)));
    let consumers = [start(patient(&world)), start(patient(&world))];
    let (one, other) = tokio::join!(world.retry(id), world.retry(id));
    assert_eq!(u8::from(one.is_ok()) + u8::from(other.is_ok()), 1);
    until(|| world.script.runs().len() == 2).await;
    let while_it_runs = world.retry(id).await.expect_err("it runs").to_string();
    assert_eq!(while_it_runs, format!("failed message {id} is retry_scheduled, and due or running already"));
    pass(seconds(600)).await;
    assert_eq!((world.applied(), world.script.runs().len()), (vec!["a-1".to_owned()], 2));
    for consumer in consumers {
        consumer.stop().await;
    }
}

/// The process ends in the run that an operator wanted. Its lease still holds: no other run begins before its end, whatever the
/// operator does.
#[tokio::test(start_paused = true)]
async fn a_process_killed_in_a_retried_run_is_followed_by_one_run() {
    let (world, id) = world_with_a_scheduled_message().await;
    world.script.always("a-1", Action::Take(seconds(20)));
    let victim = start(patient(&world));
    world.retry(id).await.expect("it waits for its time");
    until(|| world.script.runs().len() == 2).await;
    victim.kill().await;
    let left = world.failed_message("a-1").await;
    assert_eq!((left.state, left.crash_count), (FailedMessageState::RetryScheduled, 0));
    assert!(world.retry(id).await.is_err(), "the run has no end yet, for all that the tables know");
    assert_eq!(world.failed_message("a-1").await, left);
    let consumer = start(patient(&world));
    until(|| world.applied().len() == 1).await;
    let failed = world.failed_message("a-1").await;
    assert_eq!((failed.state, failed.crash_count), (FailedMessageState::Resolved, 1));
    assert_eq!(world.script.runs().len(), 3);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_parked_behind_a_retried_message_follows_in_order() {
    let world = World::new(1);
    world.push_all("a", 4).await;
    world.script.next("a-2", [Action::Fail]);
    let parking = || patient(&world).on_failure(OnFailure::ParkKey);
    let consumer = start(parking());
    until(|| world.failed_messages_now() == 3).await;
    assert_eq!(world.applied(), ["a-1"]);
    let waiting = world.failed_message("a-3").await.id;
    let refused = world.retry(waiting).await.expect_err("it is blocked").to_string();
    assert!(refused.contains("waits for an earlier one of its key"), "{refused}");
    world.retry(world.failed_message("a-2").await.id).await.expect("it waits for its time");
    pass(seconds(10)).await;
    assert_eq!(world.applied(), ["a-1", "a-2", "a-3", "a-4"]);
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_holds_a_retried_run_back() {
    let (world, id) = world_with_a_scheduled_message().await;
    world.push("b", 1).await;
    world.script.always("b-1", Action::Fail);
    let breaker = CircuitBreaker::new(1, seconds(60));
    let consumer = start(patient(&world).gate(breaker.clone()));
    until(|| breaker.state() == BreakerState::Open).await;
    world.retry(id).await.expect("it waits for its time");
    pass(seconds(50)).await;
    assert!(world.applied().is_empty(), "a retry opens no gate");
    pass(seconds(20)).await;
    assert_eq!((world.applied(), breaker.state()), (vec!["a-1".to_owned()], BreakerState::Closed));
    consumer.stop().await;
}
