//! A run that ends when nothing is left to do.

use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, OnFailure};
use messagekit_memory::TestGate;

use crate::fixture::{Action, World};

#[tokio::test(start_paused = true)]
async fn run_ends_when_every_message_is_settled() {
    let world = World::new(4);
    for key in ["a", "b", "c"] {
        world.push_all(key, 30).await;
    }
    let done = world.billing().build().unwrap().run_until_idle().await.unwrap();
    assert_eq!((done.handled, world.applied().len()), (90, 90));
    let again = world.billing().build().unwrap().run_until_idle().await.unwrap();
    assert_eq!((again.handled, again.duplicates), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn run_over_topics_that_do_not_exist_ends() {
    let world = World::new(1);
    let done = world.billing().build().unwrap().run_until_idle().await.unwrap();
    assert_eq!(done.batches, 0);
}

#[tokio::test(start_paused = true)]
async fn retry_that_is_due_later_is_left_to_a_later_run() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    world.script.always("a-1", Action::Fail);
    let begun = tokio::time::Instant::now();
    let done = world.billing().build().unwrap().run_until_idle().await.unwrap();
    assert_eq!((done.handled, done.set_aside), (1, 1));
    assert!(begun.elapsed() < Duration::from_millis(500), "it did not wait for the retry");

    world.script.heal();
    tokio::time::advance(Duration::from_secs(2)).await;
    let done = world.billing().build().unwrap().run_until_idle().await.unwrap();
    assert_eq!((done.handled, world.applied().len()), (1, 2));
}

#[tokio::test(start_paused = true)]
async fn retries_without_a_wait_run_to_their_end() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.always("a-1", Action::Fail);
    let billing = world.billing().on_failure(OnFailure::ParkKey).backoff(Backoff::fixed(Duration::ZERO));
    let billing = billing.attempts(NonZeroU32::new(4).unwrap()).build().unwrap();
    let done = billing.run_until_idle().await.unwrap();
    assert_eq!((done.dead, done.handled), (1, 0), "the key waits behind its dead message");
    assert_eq!(world.script.attempts_of("a-1"), [1, 2, 3, 4]);
    assert_eq!(world.failed_message("a-1").await.state, FailedMessageState::Dead);
}

#[tokio::test(start_paused = true)]
async fn run_does_not_end_behind_a_closed_gate() {
    let world = World::new(1);
    world.push_all("a", 2).await;
    let gate = TestGate::new();
    gate.close();
    let running = tokio::spawn(world.billing().gate(gate.clone()).build().unwrap().run_until_idle());
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert!(!running.is_finished());
    gate.open();
    assert_eq!(running.await.unwrap().unwrap().handled, 2);
}
