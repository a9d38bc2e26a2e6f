use std::time::Duration;

use tokio::time::Instant;

use crate::fixture::{Running, World, order, until};

#[tokio::test(start_paused = true)]
async fn a_delayed_event_goes_out_when_it_is_due_and_not_before() {
    let world = World::new();
    let relays = [Running::start(world.relay_named("first")), Running::start(world.relay_named("second"))];
    tokio::time::sleep(Duration::from_secs(3)).await;
    for n in 0..40 {
        let delay = Duration::from_millis(1 + 137 * n as u64);
        let mut tx = world.outbox.begin();
        tx.add_after(order(&format!("k{n}"), 0), delay);
        tx.commit();
        let due = Instant::now() + delay;
        // Other events of its shard overtake it.
        world.outbox.write([order(&format!("k{n}"), 1)]);
        let before = 2 * n + 1;
        until("the other is published", || world.broker.taken_count() > before - 1).await;
        until("it is published", || world.broker.taken_count() == before + 1).await;
        let (now, latest) = (Instant::now(), due + Duration::from_millis(200 + 200 + 50 + 10));
        assert!(due <= now && now <= latest, "{delay:?}: {:?} late", now - due);
    }
    for relay in relays {
        relay.stop().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn one_relay_is_on_time() {
    let world = World::new();
    let relay = Running::start(world.relay());
    let mut tx = world.outbox.begin();
    (0..20).for_each(|n| tx.add_after(order("k", n), Duration::from_millis(1_000 + 333 * n as u64)));
    let begun = Instant::now();
    tx.commit();
    for n in 0..20 {
        until("it is published", || world.broker.taken_count() == n + 1).await;
        let due = Duration::from_millis(1_000 + 333 * n as u64);
        assert!(due <= begun.elapsed() && begun.elapsed() <= due + Duration::from_millis(20), "{n}");
    }
    relay.stop().await.unwrap();
}
