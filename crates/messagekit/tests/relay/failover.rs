use std::time::Duration;

use crate::fixture::{Running, TOPIC, World, firsts_of, order, until};
use crate::late_commits::neighbours;

/// The standby assigns the lost positions again, and more, before the relay's first read.
#[tokio::test(start_paused = true)]
async fn first_read_after_a_failover_skips_no_reused_position() {
    let world = World::new();
    let relay = Running::start(world.relay());
    let keys = neighbours(2);
    for round in 0..20 {
        world.outbox.write((0..30).map(|n| order(&keys[0], round * 30 + n)));
        until("what was before is published", || world.outbox.pending_count() == 0).await;
        // Only some failovers happen during a read from the beginning.
        tokio::time::sleep(Duration::from_millis(17 * round as u64)).await;
        world.outbox.fail_over(10);
        world.outbox.write((0..20).map(|n| order(&keys[1], round * 20 + n)));
        until("what is behind it is published", || world.outbox.pending_count() == 0).await;
    }
    let taken = world.broker.taken();
    assert_eq!(firsts_of(&taken, TOPIC, &keys[1]), (0..400).collect::<Vec<_>>());
    assert_eq!(taken.len(), 20 * 50, "nothing comes twice");
    relay.stop().await.unwrap();
}

/// A read skips rows that are confirmed and not deleted yet; their positions belong to other events now.
async fn places_are_not_left_out(is_confirmed_before: bool) {
    let world = World::new();
    let relay = Running::start(world.relay());
    let keys = neighbours(2);
    world.outbox.set_deletes_down(true);
    world.broker.waits(|_| Duration::from_millis(40));
    world.outbox.write((0..10).map(|n| order(&keys[0], n)));
    let confirmed = if is_confirmed_before { 10 } else { 0 };
    until("the broker has them", || world.broker.calls() == 1 && world.broker.taken_count() >= confirmed)
        .await;
    world.outbox.fail_over(10);
    world.broker.waits(|_| Duration::ZERO);
    world.outbox.write((0..20).map(|n| order(&keys[1], n)));
    until("the last one is published", || world.broker.taken_ids().contains(&format!("{}-19", keys[1])))
        .await;
    assert_eq!(firsts_of(&world.broker.taken(), TOPIC, &keys[1]), (0..20).collect::<Vec<_>>());
    world.outbox.set_deletes_down(false);
    until("they are noted as published", || world.outbox.pending_count() == 0).await;
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reused_positions_confirmed_before_a_failover_are_read() {
    places_are_not_left_out(true).await;
}

#[tokio::test(start_paused = true)]
async fn positions_of_events_confirmed_after_a_failover_are_read() {
    places_are_not_left_out(false).await;
}
