use std::time::Duration;

use tokio::time::Instant;

use crate::broker::Fate;
use crate::fixture::{Running, World, firsts_of, order, until};

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_is_unconfirmed_and_starts_nothing() {
    let world = World::new(1);
    world.broker.latency(Duration::from_secs(2));
    world.publish_keys(20, 5).await;
    let running = Running::start(world.bridge());
    until("the first round is out", || running.stats.read().unconfirmed == 20).await;
    let requested = Instant::now();
    running.stop().await.unwrap();
    assert!(requested.elapsed() <= Duration::from_secs(3), "{:?}", requested.elapsed());
    assert_eq!((world.broker.taken().len(), world.committed()), (20, 20));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_does_not_wait_for_ever() {
    let world = World::new(1);
    world.broker.block(true);
    world.publish_keys(20, 5).await;
    let running = Running::start(world.bridge().drain(Duration::from_secs(4)));
    until("the first round is out", || running.stats.read().unconfirmed == 20).await;
    let requested = Instant::now();
    running.stop().await.unwrap();
    assert!(requested.elapsed() <= Duration::from_secs(5), "{:?}", requested.elapsed());
    world.broker.block(false);
    let next = Running::start(world.bridge());
    until("the next one forwards all", || world.committed() == 100).await;
    next.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lanes_moved_between_bridges_lose_nothing_and_keep_order() {
    let world = World::new(6);
    world.broker.latency(Duration::from_millis(100));
    world.publish_keys(60, 20).await;
    let first = Running::start(world.bridge());
    until("it works", || first.stats.read().forwarded >= 100).await;
    let second = Running::start(world.bridge());
    until("both work", || first.stats.read().lanes == 3 && second.stats.read().forwarded > 0).await;
    first.stop().await.unwrap();
    until("all are settled", || world.committed() == 1_200).await;
    let ids = world.broker.taken_ids();
    // The bridge waited for messages in flight, so none was published twice.
    assert_eq!(ids.len(), 1_200);
    for key in 0..60 {
        assert_eq!(firsts_of(&ids, &format!("k{key}")), (0..20).collect::<Vec<_>>());
    }
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_revoked_lane_is_given_up_when_the_broker_stays_silent() {
    let world = World::new(2);
    world.broker.block(true);
    world.publish_keys(20, 5).await;
    let first = Running::start(world.bridge().drain(Duration::from_secs(4)));
    until("it waits", || first.stats.read().unconfirmed > 0).await;
    let second = Running::start(world.bridge());
    until("one lane has moved", || (first.stats.read().lanes, second.stats.read().lanes) == (1, 1)).await;
    world.broker.block(false);
    until("all are settled", || world.committed() == 100).await;
    first.stop().await.unwrap();
    second.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn lost_lanes_are_forwarded_again() {
    let world = World::new(2);
    world.broker.latency(Duration::from_millis(50));
    world.publish_keys(20, 20).await;
    let running = Running::start(world.bridge());
    for round in 1..=3 {
        until("it goes on", || running.stats.read().forwarded >= round * 80).await;
        world.log.lose(crate::fixture::BRIDGE);
    }
    until("all are settled", || world.committed() == 400).await;
    let ids = world.broker.taken_ids();
    for key in 0..20 {
        assert_eq!(firsts_of(&ids, &format!("k{key}")), (0..20).collect::<Vec<_>>());
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bridge_that_handed_over_its_lane_is_no_longer_blocked() {
    let mut moved = 0;
    for key in 0..8 {
        let world = World::new(2);
        world.broker.script(|_| Fate::Away);
        world.publish([order(&format!("k{key}"), 0)]).await;
        let first = Running::start(world.bridge());
        until("it is blocked", || first.stats.read().blocked.is_some()).await;
        let second = Running::start(world.bridge());
        until("one lane has moved", || (first.stats.read().lanes, second.stats.read().lanes) == (1, 1)).await;
        let blocked = || (first.stats.read().blocked.is_some(), second.stats.read().blocked.is_some());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(blocked().0 != blocked().1, "the one that holds the message is blocked: {:?}", blocked());
        moved += usize::from(blocked().1);
        first.stop().await.unwrap();
        second.stop().await.unwrap();
    }
    assert!((1..8).contains(&moved), "{moved} of 8 messages have moved");
}
