use std::time::Duration;

use messagekit::gate::{BreakerState, CircuitBreaker, RateLimit};
use messagekit_memory::TestGate;
use messagekit_prometheus::Metrics;
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
    assert!(gate.outcomes().iter().all(|outcome| outcome.handled && outcome.used == 1));
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

#[tokio::test(start_paused = true)]
async fn a_bridge_that_was_dropped_closes_no_gate_of_the_next() {
    let world = World::new(1);
    let (registry, gate) = (prometheus::Registry::new(), TestGate::new());
    let metrics = Metrics::new(&registry).unwrap();
    let shows = |state: u8| {
        let text = messagekit_prometheus::text(&registry);
        let mut states = text.lines().filter(|line| line.starts_with("messagekit_gate_state{"));
        states.next().is_some_and(|line| line.ends_with(&format!(" {state}")))
    };
    gate.close();
    world.publish_keys(1, 1).await;
    let first = Running::start(world.bridge().metrics(&metrics).gate(gate.clone()));
    until("the gate is shown as closed", || shows(2)).await;
    first.kill().await;
    assert!(shows(0), "it has gone");
    gate.open();
    let next = Running::start(world.bridge().metrics(&metrics).gate(gate));
    until("all are settled", || world.committed() == 1).await;
    assert!(shows(0));
    next.stop().await.unwrap();
}
