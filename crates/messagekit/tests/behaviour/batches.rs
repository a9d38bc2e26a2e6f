//! The waiting messages of a lane share one transaction.

use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::adapter::{BatchLimit, Positions};
use messagekit::{Backoff, Claim, headers};
use tokio::time::Instant;

use crate::fixture::{
    Action, CALM, CONSUMER, FIFTY, TOPIC, World, names, pass, placed, seconds, start, until,
};

const TWENTY_MS: Action = Action::Take(Duration::from_millis(20));

#[tokio::test(start_paused = true)]
async fn what_waits_in_a_lane_is_one_transaction_of_at_most_fifty() {
    for (waiting, batches) in [(1, 1), (50, 1), (51, 2), (120, 3)] {
        let world = World::new(1);
        let consumer = world.start_calm(world.billing()).await;
        let before = consumer.read().batches;
        world.push_all("a", waiting).await;
        until(|| world.applied().len() == waiting as usize).await;
        assert_eq!(consumer.stop().await.batches - before, batches, "{waiting}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_message_does_not_wait_for_company() {
    let world = World::new(1);
    let consumer = start(world.billing());
    pass(seconds(1)).await;
    let pushed = Instant::now();
    world.push("a", 1).await;
    until(|| world.applied().len() == 1).await;
    assert!(pushed.elapsed() <= Duration::from_millis(5), "{:?}", pushed.elapsed());
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn one_by_one_gives_each_message_a_transaction_of_its_own() {
    let world = World::new(1);
    world.push_all("a", 30).await;
    world.script.always("a-7", Action::Permanent);
    let consumer = start(world.billing().one_by_one());
    until(|| world.committed(0) == 30).await;
    let stats = consumer.stop().await;
    assert_eq!((stats.batches, stats.handled, stats.dead), (30, 29, 1));
    assert_eq!(world.script.runs().len(), 30, "a failure repeats no effects");
}

#[tokio::test(start_paused = true)]
async fn a_batch_ends_after_its_handler_time_and_the_rest_stays_fresh() {
    let world = World::new(1);
    names("a", 10).iter().for_each(|id| world.script.always(id, TWENTY_MS));
    let consumer = world.start_calm(world.billing()).await;
    let before = consumer.read();
    world.push_all("a", 10).await;
    until(|| !world.applied().is_empty()).await;
    // After 60 ms in three handlers, no fourth handler starts.
    assert_eq!(world.applied(), names("a", 3));
    assert_eq!((world.marker("a-3"), world.marker("a-4")), (Some(Claim::Done), None));
    until(|| world.applied().len() == 10).await;
    let stats = consumer.stop().await;
    assert_eq!((stats.handled - before.handled, stats.batches - before.batches), (10, 4));
    assert_eq!(world.script.runs().len(), 10);
}

#[tokio::test(start_paused = true)]
async fn the_time_of_a_batch_does_not_split_what_needs_no_handler() {
    let world = World::new(1);
    let consumer = world.start_calm(world.billing()).await;
    world.push_all("a", 3).await;
    until(|| world.applied().len() == 3).await;
    let before = consumer.read();
    names("b", 9).iter().for_each(|id| world.script.always(id, TWENTY_MS));
    for n in 1..=3 {
        world.push("b", n).await;
        world.push("a", n).await;
        world.publish(placed("c", n).with_header(headers::EVENT_TYPE, "orders.order.paid")).await;
    }
    until(|| world.committed(0) == CALM + 12).await;
    let stats = consumer.stop().await;
    assert_eq!((stats.handled - before.handled, stats.batches - before.batches), (3, 1));
    assert_eq!((stats.duplicates, stats.ignored), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn a_batch_of_another_size_and_time_is_the_users_choice() {
    let world = World::new(1);
    names("a", 12).iter().for_each(|id| world.script.always(id, TWENTY_MS));
    let limit = BatchLimit { messages: NonZeroU32::new(4).expect("4 > 0"), time: seconds(60) };
    let consumer = world.start_calm(world.billing().batch(limit)).await;
    let before = consumer.read().batches;
    world.push_all("a", 12).await;
    until(|| world.applied().len() == 12).await;
    assert_eq!(consumer.stop().await.batches - before, 3);
}

/// Copies of an id in one batch, around the point at which its time limit ends it.
#[tokio::test(start_paused = true)]
async fn duplicates_in_a_batch_are_applied_once_wherever_it_is_cut() {
    for cut in 1..=6 {
        let world = World::new(1);
        for n in [1, 2, 1, 3, 2, 3] {
            world.push("a", n).await;
        }
        let limit = BatchLimit { messages: FIFTY.messages, time: Duration::from_millis(20 * cut) };
        names("a", 3).iter().for_each(|id| world.script.always(id, TWENTY_MS));
        let consumer = start(world.billing().batch(limit));
        until(|| world.committed(0) == 6).await;
        let stats = consumer.stop().await;
        assert_eq!(world.applied(), names("a", 3), "{cut}");
        assert_eq!((stats.handled, stats.duplicates), (3, 3), "{cut}");
    }
}

/// The first copy fails; the second must not be applied despite the failed message.
#[tokio::test(start_paused = true)]
async fn a_copy_behind_a_failed_one_in_the_same_batch_is_held_with_it() {
    for act in [Action::Fail, Action::Swallow, Action::Permanent] {
        let world = World::new(1);
        for n in [1, 2, 1, 3] {
            world.push("a", n).await;
        }
        world.script.always("a-1", act);
        let consumer = start(world.billing());
        until(|| world.committed(0) == 4).await;
        assert_eq!(world.applied(), ["a-2", "a-3"], "{act:?}");
        assert_eq!(
            (world.failed_messages().await.len(), world.marker("a-1")),
            (1, Some(Claim::Held)),
            "{act:?}"
        );
        assert_eq!(consumer.stop().await.duplicates, 1, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn positions_are_noted_with_the_effects() {
    let world = World::new(3);
    for key in ["a", "b", "c", "d", "e"] {
        world.push_all(key, 20).await;
    }
    world.script.always("b-9", Action::Permanent);
    let consumer = start(world.billing());
    until(|| world.applied().len() == 99).await;
    consumer.stop().await;
    let noted = world.store.next_of(CONSUMER, TOPIC).await.expect("positions");
    assert!(!noted.is_empty());
    for position in &noted {
        assert_eq!(position.next, world.committed(position.partition), "{position:?}");
    }
    assert_eq!(noted.iter().map(|position| position.next).sum::<i64>(), 100);
}

/// The longest duration means "no deadline" and "no automatic retry".
#[tokio::test(start_paused = true)]
async fn the_longest_durations_are_no_trap() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.next("a-2", [Action::Fail]);
    let never = Backoff::fixed(Duration::MAX);
    let consumer = start(world.billing().deadline(Duration::MAX).backoff(never));
    until(|| world.committed(0) == 3).await;
    pass(seconds(3_600)).await;
    assert_eq!(world.applied(), ["a-1", "a-3"]);
    assert_eq!(world.failed_messages().await.len(), 1);
    consumer.stop().await;

    let consumer = start(world.billing().deadline(Duration::MAX));
    world.script.next("a-4", [Action::Fail]);
    world.push("a", 4).await;
    until(|| world.applied().len() == 3).await;
    consumer.stop().await;
}
