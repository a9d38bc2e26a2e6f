use std::time::Duration;

use crate::fixture::{Running, World, order, until};
use crate::late_commits::neighbours;
use crate::tables::shard_of;

#[tokio::test(start_paused = true)]
async fn a_backlog_costs_two_statements_per_page() {
    let world = World::new();
    world.outbox.disturb(3, Duration::from_millis(4), 0);
    world.write_keys(1_000, 100);
    let relay = Running::start(world.relay());
    until("half is published", || world.broker.taken_count() >= 50_000).await;
    let counts = world.outbox.with(|state| state.statements);
    // The first pages are smaller.
    let pages = world.broker.taken_count() as u64 / 2_000 + 2;
    assert!(counts.pending <= pages + pages / 10, "{counts:?} for {pages} pages");
    assert!(counts.published <= pages + pages / 10, "{counts:?} for {pages} pages");
    world.until_drained(100_000).await;
    assert_eq!(world.broker.most_of_a_key(), 1);
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_idle_relay_reads_once_per_poll_and_leases_once_per_second() {
    let world = World::new();
    let relay = Running::start(world.relay());
    tokio::time::sleep(Duration::from_secs(10)).await;
    let before = world.outbox.with(|state| state.statements);
    tokio::time::sleep(Duration::from_secs(100)).await;
    let after = world.outbox.with(|state| state.statements);
    assert!(after.pending - before.pending <= 2_001, "{after:?}");
    assert!((99..=101).contains(&(after.lease - before.lease)), "{after:?}");
    assert!(after.due - before.due <= 501, "{after:?}");
    assert_eq!(after.published, 0);
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn so_many_calls_are_in_flight_as_were_asked_for() {
    let world = World::new();
    world.broker.waits(|_| Duration::from_millis(1));
    world.write_keys(1_000, 10);
    let relay = Running::start(world.relay().calls(3.try_into().unwrap()).batch(20.try_into().unwrap()));
    let mut most = 0;
    until("all are published", || {
        most = most.max(relay.stats.read().unconfirmed);
        world.outbox.pending_count() == 0
    })
    .await;
    assert!((41..=60).contains(&most), "{most} events in flight");
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_shard_with_a_long_backlog_does_not_hold_the_others() {
    let world = World::new();
    world.broker.waits(|_| Duration::from_millis(1));
    let crowd = neighbours(4);
    world.outbox.write((0..4_000).map(|n| order(&crowd[n % 4], n / 4)));
    let loners: Vec<String> =
        (0..).map(|n| format!("loner{n}")).filter(|key| are_apart(key, &crowd[0])).take(20).collect();
    world.outbox.write(loners.iter().map(|key| order(key, 0)));
    let relay = Running::start(world.relay().batch(50.try_into().unwrap()));
    let are_published =
        || world.broker.taken_ids().iter().filter(|id| id.starts_with("loner")).count() == loners.len();
    until("the others are published", are_published).await;
    assert!(
        world.broker.taken_count() < 1_000,
        "they waited for {} of the crowd",
        world.broker.taken_count()
    );
    world.until_drained(4_020).await;
    relay.stop().await.unwrap();
}

fn are_apart(key: &str, other: &str) -> bool {
    shard_of(&order(key, 0)) != shard_of(&order(other, 0))
}
