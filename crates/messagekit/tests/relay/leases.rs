use std::time::Duration;

use crate::broker::Fate;
use crate::fixture::{OTHER, Running, TOPIC, World, event, firsts_of, order, until, within};
use crate::tables::shard_of;

const LEASE: Duration = Duration::from_secs(4);
const RENEWAL: Duration = Duration::from_secs(1);
/// How long an unconfirmed call holds its shards.
const PATIENCE: Duration = Duration::from_secs(1);

#[tokio::test(start_paused = true)]
async fn relays_that_join_and_leave_hand_over() {
    let world = World::new();
    let first = Running::start(world.relay_named("first"));
    until("the first has all", || world.outbox.shards_of("first") == 64).await;
    let second = Running::start(world.relay_named("second"));
    let shared = || (world.outbox.shards_of("first"), world.outbox.shards_of("second")) == (32, 32);
    within(2 * RENEWAL, "they share", shared).await;
    let third = Running::start(world.relay_named("third"));
    let fair = || {
        ["first", "second", "third"].map(|name| world.outbox.shards_of(name)) == [22, 20, 22]
            || ["first", "second", "third"]
                .iter()
                .all(|name| (20..=22).contains(&world.outbox.shards_of(name)))
    };
    within(3 * RENEWAL, "all three share", fair).await;
    second.stop().await.unwrap();
    let rest = || (world.outbox.shards_of("first"), world.outbox.shards_of("third")) == (32, 32);
    within(2 * RENEWAL, "two share what the third left", rest).await;
    first.stop().await.unwrap();
    within(2 * RENEWAL, "the last has all", || world.outbox.shards_of("third") == 64).await;
    third.stop().await.unwrap();
    assert_eq!(world.outbox.shards_of(""), 0);
}

#[tokio::test(start_paused = true)]
async fn handing_over_publishes_nothing_twice() {
    let world = World::new();
    world.broker.waits(|_| Duration::from_millis(2));
    world.write_keys(64, 40);
    let mut relays = vec![Running::start(world.relay_named("first"))];
    for name in ["second", "third", "fourth"] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        relays.push(Running::start(world.relay_named(name)));
    }
    world.until_drained(64 * 40).await;
    assert_eq!(world.broker.taken_count(), 64 * 40);
    assert_eq!(world.broker.most_of_a_key(), 1, "two had events of one key in flight");
    for relay in relays {
        relay.stop().await.unwrap();
    }
}

/// Publishes events of a silent topic in every shard with a key, and events of another topic, which is confirmed.
async fn until_one_topic_is_silent(world: &World, relay: &Running) {
    world.broker.silence(&[TOPIC]);
    world.write_keys(100, 2);
    until("the topic is paused", || !relay.stats.read().paused.is_empty()).await;
    world.outbox.write((0..100).map(|key| event(OTHER, &format!("k{key}"), 0)));
    until("the other topic flows", || world.broker.taken_count() == 100).await;
}

/// Ends the silence; every event is published in order, and none is set aside.
async fn until_all_is_published(world: &World) {
    world.broker.silence(&[]);
    until("all are published", || world.outbox.pending_count() == 0).await;
    let taken = world.broker.taken();
    for key in 0..100 {
        let key = format!("k{key}");
        assert_eq!(
            (firsts_of(&taken, TOPIC, &key), firsts_of(&taken, OTHER, &key)),
            (vec![0, 1], vec![0, 1])
        );
    }
    assert_eq!(world.outbox.rejected_count(), 0);
}

#[tokio::test(start_paused = true)]
async fn topic_without_answers_does_not_hold_up_shard_handover() {
    let world = World::new();
    let first = Running::start(world.relay_named("first"));
    until_one_topic_is_silent(&world, &first).await;
    let second = Running::start(world.relay_named("second"));
    let shared = || (world.outbox.shards_of("first"), world.outbox.shards_of("second")) == (32, 32);
    within(2 * RENEWAL, "they share", shared).await;
    world.outbox.write((0..100).map(|key| event(OTHER, &format!("k{key}"), 1)));
    // The new owner must detect first that the topic is silent.
    within(PATIENCE + 2 * RENEWAL, "the other topic flows", || world.broker.taken_count() == 200).await;
    until_all_is_published(&world).await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_that_waits_for_an_answer_leaves_its_shards_to_others() {
    let world = World::new();
    let first = Running::start(world.relay_named("first").drain(Duration::from_secs(60)));
    until_one_topic_is_silent(&world, &first).await;
    let second = Running::start(world.relay_named("second"));
    until("they share", || world.outbox.shards_of("second") == 32).await;
    let stop = tokio::spawn(first.stop());
    within(PATIENCE + 2 * RENEWAL, "the other has all", || world.outbox.shards_of("second") == 64).await;
    world.outbox.write((0..100).map(|key| event(OTHER, &format!("k{key}"), 1)));
    within(PATIENCE + RENEWAL, "the other topic flows", || world.broker.taken_count() == 200).await;
    tokio::time::sleep(3 * LEASE).await;
    assert_eq!(world.outbox.shards_of("second"), 64, "it takes nothing back");
    assert!(!stop.is_finished(), "what is in flight may still be answered");
    until_all_is_published(&world).await;
    stop.await.unwrap().unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_rejection_after_the_shard_was_handed_over_has_no_effect() {
    let world = World::new();
    // Of two relays, the joining one gets the last shards.
    let key = (0..).map(|n| format!("k{n}")).find(|key| shard_of(&order(key, 0)) == 48).unwrap();
    let (mut calls, mut answered) = (0, 0);
    world.broker.waits(move |_| {
        calls += 1;
        Duration::from_secs(if calls == 1 { 20 } else { 0 })
    });
    world.broker.script(move |_| {
        answered += 1;
        if answered == 2 { Fate::Rejected } else { Fate::Taken }
    });
    world.outbox.write([order(&key, 0)]);
    let first = Running::start(world.relay_named("first"));
    until("it is in flight", || first.stats.read().unconfirmed == 1).await;
    world.outbox.set_deletes_down(true);
    let second = Running::start(world.relay_named("second"));
    until("the other publishes it", || world.broker.taken_count() == 1).await;
    within(Duration::from_secs(20), "it is refused", || first.stats.read().unconfirmed == 0).await;
    assert_eq!((world.outbox.pending_count(), world.outbox.rejected_count()), (1, 0));
    world.outbox.set_deletes_down(false);
    world.outbox.write([order(&key, 1)]);
    until("all are published", || world.outbox.pending_count() == 0).await;
    assert_eq!(firsts_of(&world.broker.taken(), TOPIC, &key), [0, 1]);
    assert_eq!((world.broker.taken_count(), world.outbox.rejected_count()), (2, 0));
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_shards_of_a_killed_relay_are_taken_when_its_lease_ends() {
    let world = World::new();
    let doomed = Running::start(world.relay_named("doomed"));
    let other = Running::start(world.relay_named("other"));
    until("they share", || world.outbox.shards_of("doomed") == 32 && world.outbox.shards_of("other") == 32)
        .await;
    doomed.kill().await;
    world.write_keys(100, 3);
    let published = || world.outbox.pending_count() == 0;
    within(LEASE + RENEWAL, "all are published", published).await;
    assert_eq!(world.outbox.shards_of("other"), 64);
    world.until_drained(300).await;
    other.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_frozen_relay_that_goes_on_makes_nothing_but_copies() {
    let world = World::new();
    world.broker.waits(|_| Duration::from_millis(5));
    world.write_keys(8, 400);
    let frozen = Running::start(world.relay_named("frozen"));
    until("it is at work", || world.broker.taken_count() > 100).await;
    let other = Running::start(world.relay_named("other"));
    frozen.freeze(true);
    let mut n = 400;
    until("the other has all shards", || world.outbox.shards_of("other") == 64).await;
    let before = world.broker.taken_count();
    until("the other works", || world.broker.taken_count() > before + 100).await;
    frozen.freeze(false);
    for _ in 0..50 {
        world.outbox.write((0..8).map(|key| order(&format!("k{key}"), n)));
        n += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    world.until_drained(8 * n).await;
    let taken = world.broker.taken();
    for key in 0..8 {
        assert_eq!(firsts_of(&taken, TOPIC, &format!("k{key}")), (0..n).collect::<Vec<_>>());
    }
    let share = || world.outbox.shards_of("frozen") == 32 && world.outbox.shards_of("other") == 32;
    until("it has its share again", share).await;
    frozen.stop().await.unwrap();
    other.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_relay_that_cannot_renew_says_that_it_may_not_publish() {
    let world = World::new();
    let relay = Running::start(world.relay());
    until("it has a lease", || relay.stats.read().lease.is_some()).await;
    world.outbox.set_down(true);
    tokio::time::sleep(LEASE + RENEWAL).await;
    let stats = relay.stats.read();
    assert_eq!(stats.lease, None);
    let database = stats.database.expect("the database does not answer");
    assert!(database.error.contains("connection refused"), "{database:?}");
    assert!(database.since >= LEASE, "{database:?}");
    world.outbox.set_down(false);
    within(2 * RENEWAL, "it may again", || relay.stats.read().lease.is_some()).await;
    within(2 * RENEWAL, "all answers", || relay.stats.read().database.is_none()).await;
    relay.stop().await.unwrap();
}
