//! Dropped or timed out at any point while keys are blocked: nothing is lost or applied twice, and every key keeps its
//! order.

use std::collections::BTreeSet;
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use messagekit::operations::FailedMessageState;
use messagekit::{Backoff, Consumer, OnFailure, ParkingLimits};
use messagekit_memory::MemorySource;

use crate::fixture::{Action, CONSUMER, World, names, pass, seconds, start, until};
use crate::flaky::Flaky;

/// Creates three keys in two lanes: one fails for a while, one is poisoned, and one is independent.
async fn eventful_world() -> (World, Flaky) {
    let world = World::new(2);
    for n in 1..=6 {
        for key in ["a", "b", "c"] {
            world.push(key, n).await;
        }
    }
    world.script.next("a-2", [Action::Fail, Action::Swallow]);
    world.script.always("b-3", Action::Permanent);
    for id in ["a-4", "b-1", "c-5"] {
        world.script.always(id, Action::Take(Duration::from_millis(3)));
    }
    let flaky = Flaky::new(&world.store);
    flaky.slow();
    (world, flaky)
}

/// Creates a consumer whose failed messages are due at once, with small parking limits.
fn impatient(world: &World, flaky: &Flaky) -> Consumer<Flaky, MemorySource> {
    let builder =
        world.consumer_on(CONSUMER, flaky.clone()).backoff(Backoff::fixed(Duration::from_millis(1)));
    let room = ParkingLimits { per_key: 3, in_all: 8 };
    builder.on_failure(OnFailure::ParkKey).parking_limits(room).build().expect("valid")
}

/// Runs a new consumer, retries dead messages, and checks the order of every key.
async fn assert_nothing_lost_doubled_or_out_of_order(world: &World, flaky: &Flaky, dropped_at: &str) {
    pass(seconds(1)).await;
    assert_eq!(world.store.open_transactions(), 0, "{dropped_at}");
    assert_eq!(flaky.commits_in_flight(), 0, "{dropped_at}: a commit that was sent is awaited");
    let consumer = start(world.billing().on_failure(OnFailure::ParkKey));
    until(|| world.committed(0) + world.committed(1) == 18).await;
    pass(seconds(120)).await;
    assert_eq!(world.failed_message("b-3").await.state, FailedMessageState::Dead, "{dropped_at}");
    for n in 4..=6 {
        let waiting = world.failed_message(&format!("b-{n}")).await;
        assert_eq!((waiting.state, waiting.attempts), (FailedMessageState::Blocked, 0), "{dropped_at}");
    }
    world.script.heal();
    world.retry(world.failed_message("b-3").await.id).await.expect("it is dead");
    until(|| world.applied().len() >= 18).await;
    pass(seconds(10)).await;
    for key in ["a", "b", "c"] {
        let of_key: Vec<String> = world.applied().into_iter().filter(|id| id.starts_with(key)).collect();
        assert_eq!(of_key, names(key, 6), "{dropped_at}");
    }
    assert!(
        world
            .failed_messages()
            .await
            .iter()
            .all(|failed_message| failed_message.state == FailedMessageState::Resolved),
        "{dropped_at}"
    );
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn dropped_after_any_number_of_polls_every_key_keeps_its_order() {
    let mut failed_messages_before = BTreeSet::new();
    for polls in 0..300 {
        let (world, flaky) = eventful_world().await;
        {
            let mut run = pin!(impatient(&world, &flaky).run(std::future::pending()));
            for poll in 0..polls {
                poll_fn(|cx| Poll::Ready(run.as_mut().poll(cx).is_pending())).await;
                // Spawned tasks advance one step; sometimes their timers do too.
                if poll % 16 == 15 {
                    pass(Duration::from_millis(1)).await;
                } else {
                    tokio::task::yield_now().await;
                }
            }
            failed_messages_before.insert(world.failed_messages_now());
        }
        let position = format!("after {polls} polls");
        assert_nothing_lost_doubled_or_out_of_order(&world, &flaky, &position).await;
    }
    assert!(failed_messages_before.len() > 4, "from start to end: {failed_messages_before:?}");
}

#[tokio::test(start_paused = true)]
async fn timed_out_at_any_moment_every_key_keeps_its_order() {
    for time in (0..40).chain((40..800).step_by(60)) {
        let (world, flaky) = eventful_world().await;
        let run = impatient(&world, &flaky).run(std::future::pending());
        let cut = tokio::time::timeout(Duration::from_millis(time), run).await;
        assert!(cut.is_err());
        let position = format!("after {time} ms");
        assert_nothing_lost_doubled_or_out_of_order(&world, &flaky, &position).await;
    }
}
