//! A relay behind gates.

use std::time::Duration;

use messagekit::gate::RateLimit;
use messagekit_memory::TestGate;
use tokio::time::Instant;

use crate::fixture::{OTHER, Running, TOPIC, World, event, firsts_of, until, within};

const KEYS: usize = 10;
const OF: usize = 100;

/// All of them once, each key in its order.
fn is_whole(world: &World) {
    let taken = world.broker.taken();
    assert_eq!(taken.len(), KEYS * OF);
    for key in 0..KEYS {
        assert_eq!(firsts_of(&taken, TOPIC, &format!("k{key}")), (0..OF).collect::<Vec<_>>());
    }
}

#[tokio::test(start_paused = true)]
async fn a_backlog_goes_out_at_the_rate_of_the_limit() {
    let world = World::new();
    world.write_keys(KEYS, OF);
    let began = Instant::now();
    let relay = Running::start(world.relay().gate(RateLimit::per_second(100)));
    until("the burst is out", || world.broker.taken_count() == 100).await;
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    world.until_drained(KEYS * OF).await;
    let took = began.elapsed().as_secs();
    assert!((8..=10).contains(&took), "{took} s for 900 events behind the burst");
    is_whole(&world);
    let reads = relay.stats.read().reads;
    assert!(reads <= 120 * (took + 2), "{reads} reads");
    relay.stop().await.unwrap();
}

/// A limit of a thousand a second that never has more than ten.
#[tokio::test(start_paused = true)]
async fn a_limit_with_a_short_period_is_reached() {
    let world = World::new();
    world.write_keys(KEYS, OF);
    let began = Instant::now();
    let poll = Duration::from_secs(1);
    let relay = Running::start(world.relay().poll(poll).gate(RateLimit::per(10, Duration::from_millis(10))));
    world.until_drained(KEYS * OF).await;
    assert!(began.elapsed() < Duration::from_millis(2_500), "{:?}", began.elapsed());
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn reads_that_find_nothing_use_nothing_of_a_limit() {
    let world = World::new();
    let limit = RateLimit::per(10, Duration::from_secs(3_600));
    let relay = Running::start(world.relay().gate(limit));
    tokio::time::sleep(Duration::from_secs(60)).await;
    world.write_keys(1, 10);
    within(Duration::from_secs(1), "the ten are out", || world.broker.taken_count() == 10).await;
    world.write_keys(1, 11);
    until("the limit holds the relay back", || {
        relay.stats.held_back_by().is_some_and(|(gate, _)| gate == "rate_limit")
    })
    .await;
    assert_eq!(world.broker.taken_count(), 10);
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_keeps_events_in_the_outbox_and_fails_none() {
    let world = World::new();
    let gate = TestGate::new();
    gate.close();
    let relay = Running::start(world.relay().gate(gate.clone()));
    world.write_keys(KEYS, OF);
    tokio::time::sleep(Duration::from_secs(60)).await;
    assert_eq!((world.broker.taken_count(), world.outbox.pending_count()), (0, KEYS * OF));
    assert_eq!(relay.stats.held_back_by().map(|(gate, _)| gate), Some("test"));
    gate.open();
    within(Duration::from_secs(1), "it goes on at once", || world.broker.taken_count() == KEYS * OF).await;
    is_whole(&world);
    until("nothing is held back", || relay.stats.held_back_by().is_none()).await;
    gate.close();
    tokio::time::timeout(Duration::from_secs(5), relay.stop())
        .await
        .expect("no stop waits for a gate")
        .unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_topic_holds_no_other_back_behind_a_limit() {
    let world = World::new();
    world.broker.silence(&[TOPIC]);
    let relay = Running::start(world.relay().gate(RateLimit::per(20, Duration::from_secs(20))));
    world.outbox.write([event(TOPIC, "a", 0)]);
    until("it is at the broker", || relay.stats.read().unconfirmed == 1).await;
    for n in 0..15 {
        world.outbox.write([event(OTHER, "b", n)]);
    }
    // What was granted for the silent one and not read is free again.
    within(Duration::from_secs(3), "the others are out", || world.broker.taken_count() == 15).await;
    relay.kill().await;
}

#[tokio::test(start_paused = true)]
async fn a_gate_that_is_open_costs_no_time() {
    let world = World::new();
    let relay = Running::start(world.relay().gate(RateLimit::per_second(100)));
    tokio::time::sleep(Duration::from_secs(2)).await;
    for n in 0..20 {
        world.outbox.write([event(TOPIC, "a", n)]);
        world.outbox.wake();
        within(Duration::from_millis(5), "it is out", || world.broker.taken_count() == n + 1).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_gate_is_asked_for_a_page_and_hears_what_was_read() {
    let world = World::new();
    world.write_keys(KEYS, OF);
    let gate = TestGate::new();
    gate.limit(30);
    let relay = Running::start(world.relay().gate(gate.clone()));
    world.until_drained(KEYS * OF).await;
    relay.stop().await.unwrap();
    is_whole(&world);
    let used: Vec<u32> = gate.outcomes().iter().map(|outcome| outcome.used).collect();
    assert!(used.iter().all(|used| *used <= 30), "{used:?}");
    assert_eq!(used.iter().sum::<u32>() as usize, KEYS * OF);
    assert!(gate.admitted().iter().all(|view| view.messages >= 500), "{:?}", gate.admitted());
}
