use std::time::Duration;

use crate::fixture::{Running, TOPIC, World, firsts, firsts_of, order, until, within};
use crate::tables::{Decided, shard_of};

/// Returns keys of one shard.
pub(crate) fn neighbours(count: usize) -> Vec<String> {
    let of = shard_of(&order("k0", 0));
    (0..).map(|n| format!("k{n}")).filter(|key| shard_of(&order(key, 0)) == of).take(count).collect()
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_is_found_within_a_full_pass_and_a_poll() {
    let world = World::new();
    let relay = Running::start(world.relay());
    let keys = neighbours(2);
    for round in 0..20 {
        let mut late = world.outbox.begin();
        late.add(order(&keys[0], round));
        // Its position is far before those that its shard has published by now.
        for n in 0..30 {
            world.outbox.write([order(&keys[1], round * 30 + n)]);
            tokio::time::sleep(Duration::from_millis(11)).await;
        }
        until("the others are published", || world.outbox.pending_count() == 0).await;
        late.commit();
        let published = || firsts_of(&world.broker.taken(), TOPIC, &keys[0]).len() == round + 1;
        within(Duration::from_millis(250), "the late one is published", published).await;
    }
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_follows_a_late_commit_of_its_key_does_not_pass_it() {
    for decided in [Decided::Exactly, Decided::Late, Decided::Nothing] {
        let world = World::new();
        world.outbox.says_decided(decided);
        let relay = Running::start(world.relay());
        let keys = neighbours(2);
        for round in 0..20 {
            let mut late = world.outbox.begin();
            late.add(order(&keys[0], 2 * round));
            world.outbox.write([order(&keys[1], round)]);
            let passed = || firsts_of(&world.broker.taken(), TOPIC, &keys[1]).len() == round + 1;
            until("another key is published", passed).await;
            late.commit();
            world.outbox.write([order(&keys[0], 2 * round + 1)]);
            until("both are published", || world.outbox.pending_count() == 0).await;
        }
        let taken = world.broker.taken();
        assert_eq!(firsts_of(&taken, TOPIC, &keys[0]), (0..40).collect::<Vec<_>>(), "{decided:?}");
        assert_eq!(taken.len(), 60);
        relay.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_commit_is_found_while_there_is_a_backlog_behind_it() {
    let world = World::new();
    world.broker.waits(|_| Duration::from_micros(1_500));
    let keys = neighbours(3);
    let mut late = world.outbox.begin();
    late.add(order(&keys[0], 0));
    for n in 0..5_000 {
        world.outbox.write([order(&keys[1 + n % 2], n / 2)]);
    }
    let relay = Running::start(world.relay().batch(50.try_into().unwrap()));
    until("some are published", || world.broker.taken_count() > 1_000).await;
    late.commit();
    let published = || world.broker.taken_ids().contains(&format!("{}-0", keys[0]));
    // A full pass, a call in flight, and its own call.
    within(Duration::from_millis(250 + 2 * 50 * 3), "the late one is published", published).await;
    assert!(world.broker.taken_count() < 2_000, "it waited for the backlog");
    world.until_drained(5_001).await;
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn event_below_the_stable_position_is_still_published() {
    let world = World::new();
    let relay = Running::start(world.relay());
    for round in 0..10 {
        world.outbox.write((0..30).map(|n| order("k", round * 30 + n)));
        until("the others are published", || world.outbox.pending_count() == 0).await;
        tokio::time::sleep(Duration::from_millis(17 * round as u64)).await;
        world.outbox.write_at(-1 - round as i64, order("restored", round));
        let published = || firsts_of(&world.broker.taken(), TOPIC, "restored").len() == round + 1;
        within(Duration::from_millis(250), "it is published", published).await;
    }
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_was_rolled_back_never_appears() {
    let world = World::new();
    let relay = Running::start(world.relay().poll(Duration::from_millis(5)));
    for n in 0..100 {
        let mut tx = world.outbox.begin();
        tx.add(order("gone", n));
        drop(tx);
        world.outbox.write([order("kept", n)]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    world.until_drained(100).await;
    assert!(firsts(&world.broker.taken()).keys().all(|id| id.starts_with("kept-")));
    relay.stop().await.unwrap();
}
