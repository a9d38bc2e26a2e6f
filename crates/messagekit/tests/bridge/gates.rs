use std::time::Duration;

use messagekit::gate::{BreakerState, CircuitBreaker, RateLimit, Verdict};
use messagekit::memory::TestGate;
use tokio::time::Instant;

use crate::broker::Fate;
use crate::fixture::{Running, World, until};

#[tokio::test(start_paused = true)]
async fn a_limit_holds_for_publishes() {
    let world = World::new(4);
    world.publish_keys(50, 20).await;
    let started = Instant::now();
    let running = Running::start(world.bridge().gate(RateLimit::per(100, Duration::from_secs(10))));
    until("all are settled", || world.committed() == 1_000).await;
    let took = started.elapsed();
    assert!((Duration::from_secs(89)..Duration::from_secs(95)).contains(&took), "{took:?}");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_closed_gate_takes_nothing_and_keeps_the_membership() {
    let world = World::new(2);
    let gate = TestGate::new();
    gate.close();
    world.publish_keys(10, 10).await;
    let running = Running::start(world.bridge().gate(gate.clone()));
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert_eq!((world.broker.publishes(), running.stats.read().lanes), (0, 2));
    gate.open();
    until("all are settled", || world.committed() == 100).await;
    assert!(gate.outcomes().iter().all(|outcome| outcome.verdict == Verdict::Success && outcome.used == 1));
    assert_eq!(gate.admissions(), 100);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_open_breaker_asks_the_broker_once_in_its_time() {
    let world = World::new(1);
    world.broker.script(|_| Fate::Away);
    world.publish_keys(100, 1).await;
    let breaker = CircuitBreaker::new(5, Duration::from_secs(30));
    let running = Running::start(world.bridge().gate(breaker.clone()));
    until("it opens", || breaker.state() == BreakerState::Open).await;
    let (opened, before) = (Instant::now(), world.broker.publishes());
    tokio::time::sleep(Duration::from_secs(300)).await;
    let trials = world.broker.publishes() - before;
    assert!((8..=11).contains(&trials), "{trials} trials in {:?}", opened.elapsed());
    world.broker.script(|_| Fate::Taken);
    until("all are settled", || world.committed() == 100).await;
    assert_eq!(breaker.state(), BreakerState::Closed);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn bad_messages_do_not_open_the_breaker() {
    let world = World::new(1);
    world.broker.script(|_| Fate::Returned);
    world.publish_keys(50, 1).await;
    let breaker = CircuitBreaker::new(2, Duration::from_secs(30));
    let running = Running::start(world.bridge().gate(breaker.clone()));
    until("all are dead letters", || world.committed() == 50).await;
    assert_eq!((breaker.state(), world.dead_letters().len()), (BreakerState::Closed, 50));
    running.stop().await.unwrap();
}
