//! How many events a read requests.

use std::time::Duration;

use messagekit::{Message, headers};

use crate::fixture::{Running, TOPIC, World, order, until};
use crate::tables::Read;

/// Returns the reads that found something.
fn reads(world: &World) -> Vec<Read> {
    world.outbox.with(|state| state.reads.iter().copied().filter(|read| read.events > 0).collect())
}

/// Returns how many events they requested.
fn requested(world: &World) -> Vec<usize> {
    reads(world).iter().map(|read| read.requested).collect()
}

/// Commits events of this many bytes, each under a key of its own.
fn write_large(world: &World, keys: std::ops::Range<usize>, bytes: usize) {
    let large = |n| {
        let key = format!("large{n}");
        Message::new(TOPIC, "x".repeat(bytes))
            .with_header(headers::ID, format!("{key}-0"))
            .with_key(key)
            .with_header(headers::EVENT_TYPE, "orders.order.placed")
    };
    world.outbox.write(keys.map(large));
}

#[tokio::test(start_paused = true)]
async fn pages_grow_with_a_backlog_and_are_small_again_behind_it() {
    let world = World::new();
    world.write_keys(1_000, 12);
    let relay = Running::start(world.relay());
    world.until_drained(12_000).await;
    let of_backlog = requested(&world);
    assert_eq!(of_backlog[0], 500);
    assert!(of_backlog.windows(2).all(|pages| pages[1] <= 2 * pages[0]), "{of_backlog:?}");
    assert_eq!(of_backlog.iter().max(), Some(&2_000), "{of_backlog:?}");
    world.outbox.with(|state| state.reads.clear());
    for n in 0..3 {
        world.outbox.write([order("late", n)]);
        until("it is published", || world.outbox.pending_count() == 0).await;
    }
    assert_eq!(requested(&world), [500; 3]);
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn batch_is_the_most_that_a_read_requests() {
    for most in [20_u32, 700] {
        let world = World::new();
        world.write_keys(1_000, 5);
        let relay = Running::start(world.relay().batch(most.try_into().unwrap()));
        world.until_drained(5_000).await;
        let requested = requested(&world);
        assert_eq!((requested[0], requested.iter().max()), (most.min(500) as usize, Some(&(most as usize))));
        relay.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn pages_of_large_events_do_not_grow() {
    let world = World::new();
    write_large(&world, 0..3_000, 9_000);
    let relay = Running::start(world.relay());
    world.until_drained(3_000).await;
    let requested = requested(&world);
    assert!(requested.iter().all(|events| *events == 500), "{requested:?}");
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_page_behind_large_events_is_small() {
    let world = World::new();
    world.write_keys(1_000, 10);
    let relay = Running::start(world.relay());
    until("pages have grown", || requested(&world).contains(&2_000)).await;
    write_large(&world, 0..6_000, 9_000);
    world.until_drained(16_000).await;
    for pair in reads(&world).windows(2) {
        let (read, next) = (pair[0], pair[1]);
        let expected_bytes = next.requested * read.bytes / read.events;
        assert!(next.requested <= 500 || expected_bytes <= 2 << 20, "{next:?} behind {read:?}");
    }
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn pages_for_a_slow_broker_stay_small() {
    let world = World::new();
    world.broker.waits(|_| Duration::from_millis(1));
    world.write_keys(1_000, 5);
    let relay = Running::start(world.relay());
    world.until_drained(5_000).await;
    let requested = requested(&world);
    assert!(requested.iter().all(|events| *events == 500), "{requested:?}");
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_makes_the_next_one_small() {
    let world = World::new();
    world.outbox.disturb(7, Duration::from_millis(4), 0);
    world.write_keys(1_000, 40);
    let relay = Running::start(world.relay());
    until("pages have grown", || requested(&world).contains(&2_000)).await;
    world.outbox.set_down(true);
    until("the relay reports the outage", || relay.stats.read().database.is_some()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    world.outbox.with(|state| state.reads.clear());
    world.outbox.set_down(false);
    world.until_drained(40_000).await;
    assert_eq!(requested(&world)[0], 500);
    relay.stop().await.unwrap();
}
