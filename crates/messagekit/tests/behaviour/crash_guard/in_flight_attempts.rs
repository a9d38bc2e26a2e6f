//! When in-flight attempts are written and cleared.

use messagekit::adapter::Attempts;
use messagekit::{Store, claim};

use super::{DEADLINE, FOR_EVER, after_a_death, first_of, message_attempts};
use crate::fixture::{Action, CONSUMER, World, id, placed, seconds, start, until};
use crate::flaky::{Call, Flaky};

#[tokio::test(start_paused = true)]
async fn a_normal_stop_withdraws_the_attempt() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    world.script.next("a-2", [Action::Take(seconds(500))]);
    let consumer = start(world.billing().deadline(seconds(600)));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    assert_eq!(message_attempts(&world), [(id("a-2"), 1)]);
    world.script.heal();
    let stats = consumer.stop().await;
    assert_eq!(stats.handled, 1, "the handler took longer than a stop waits");
    assert_eq!(message_attempts(&world), [], "it was cut off, and that is no death");

    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    world.script.always("a-2", Action::Unavailable);
    let consumer = start(world.billing());
    until(|| !world.script.runs_of("a-2").is_empty()).await;
    consumer.stop().await;
    assert_eq!(message_attempts(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_normal_stop_withdraws_the_attempt_of_a_batch() {
    let world = World::new(1);
    world.push_all("a", 3).await;
    world.script.next("a-2", [Action::Take(seconds(500))]);
    let consumer = start(world.billing().deadline(seconds(600)));
    until(|| world.script.runs_of("a-2").len() == 1).await;
    assert_eq!(world.store.in_flight_attempts(CONSUMER), [(first_of(0), 1)]);
    consumer.stop().await;
    assert_eq!(world.store.in_flight_attempts(CONSUMER), [], "it was cut off, and that is no death");
}

#[tokio::test(start_paused = true)]
async fn restarts_during_a_slow_message_never_make_it_poison() {
    let world = after_a_death(1).await;
    world.push_all("a", 3).await;
    world.script.always("a-2", Action::Take(seconds(500)));
    for runs in 1..=7 {
        let consumer = start(world.billing().deadline(seconds(600)));
        until(|| world.script.runs_of("a-2").len() == runs).await;
        assert_eq!(message_attempts(&world), [(id("a-2"), 1)]);
        consumer.stop().await;
    }
    world.script.heal();
    let consumer = start(world.billing());
    until(|| world.applied().len() == 3).await;
    assert_eq!(consumer.stop().await.dead, 0);
    assert_eq!(world.failed_messages().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_ignored_type_begins_no_in_flight_attempt() {
    let world = World::new(1);
    let strange: Vec<_> = (1..=300)
        .map(|n| placed("a", n).with_header(messagekit::headers::EVENT_TYPE, "orders.order.forgotten"))
        .collect();
    world.publish_all(&strange).await;
    let flaky = Flaky::new(&world.store);
    let consumer = start(world.consumer_on(CONSUMER, flaky.clone()));
    until(|| world.committed(0) == 300).await;
    assert_eq!((flaky.calls(Call::BeginAttempt), consumer.stop().await.ignored), (0, 300));
}

/// Ignored messages have no marker, so they come again after each crash.
#[tokio::test(start_paused = true)]
async fn ignored_messages_do_not_hide_a_poison_message() {
    let world = World::new(1);
    for n in 1..=400 {
        let ignored = placed("a", n).with_header(messagekit::headers::EVENT_TYPE, "orders.order.forgotten");
        world.publish_all(&[placed("b", n), ignored]).await;
    }
    world.script.always("b-400", FOR_EVER);
    for crashes in 0..=4 {
        let victim = start(world.billing().deadline(DEADLINE));
        let before = world.script.runs_of("b-400").len();
        until(|| world.script.runs_of("b-400").len() > before).await;
        victim.kill().await;
        // The first crash comes after the guarded batch, and the second leaves the attempt of a batch.
        let attempts = if crashes < 2 { vec![] } else { vec![(id("b-400"), crashes - 1)] };
        assert_eq!(message_attempts(&world), attempts);
        world.log.redeliver(CONSUMER);
    }
}

#[tokio::test(start_paused = true)]
async fn duplicates_after_a_lost_offset_need_no_attempt_of_their_own() {
    for died in [false, true] {
        let world = World::new(1);
        world.push_all("a", 5_000).await;
        let first = start(world.billing());
        until(|| world.applied().len() == 5_000).await;
        first.stop().await;
        if died {
            world
                .store
                .begin_attempt(CONSUMER, &first_of(0), "the dead")
                .await
                .expect("the attempt is recorded");
        }
        world.log.redeliver(CONSUMER);
        world.push_all("b", 10).await;
        let flaky = Flaky::new(&world.store);
        let second = start(world.consumer_on(CONSUMER, flaky.clone()));
        until(|| world.applied().len() == 5_010).await;
        // An attempt precedes each batch, before the consumer knows whether the batch has a fresh message.
        let expected = if died { 1 + 10 } else { 101 };
        assert_eq!(flaky.calls(Call::BeginAttempt), expected);
        let stats = second.stop().await;
        assert_eq!((stats.duplicates, stats.handled), (5_000, 10));
        assert!(stats.batches <= 100 + 10, "{}", stats.batches);
    }
}

#[tokio::test(start_paused = true)]
async fn start_clears_attempts_that_another_process_finished() {
    let world = after_a_death(1).await;
    world.push_all("a", 1).await;
    world.script.next("a-1", [FOR_EVER]);
    let victim = start(world.billing().deadline(DEADLINE));
    until(|| world.script.runs().len() == 1).await;
    victim.kill().await;
    assert_eq!(message_attempts(&world).len(), 1);
    // Another process finished the message without an attempt; it had received it before this one.
    let mut tx = world.store.begin().await.expect("a transaction");
    claim(&world.store, &mut tx, CONSUMER, &id("a-1")).await.expect("a claim");
    world.store.commit(tx).await.expect("a commit");
    let consumer = start(world.billing());
    until(|| world.committed(0) == 1).await;
    assert_eq!(message_attempts(&world), []);
    assert_eq!(consumer.stop().await.duplicates, 1);
}
