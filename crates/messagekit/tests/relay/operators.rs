use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messagekit::headers;

use crate::broker::Fate;
use crate::fixture::{Running, TOPIC, World, firsts_of, order, until, within};

#[tokio::test(start_paused = true)]
async fn event_retried_by_an_operator_is_published_before_later_ones() {
    for seed in 0..40 {
        let world = World::new();
        world.outbox.disturb(seed, Duration::from_millis(seed % 30), 0);
        let mended = Arc::new(AtomicBool::new(false));
        let is_mended = Arc::clone(&mended);
        world.broker.script(move |message| {
            let is_poison = message.headers.text(headers::ID) == Some("k-5");
            if is_poison && !is_mended.load(Ordering::Relaxed) { Fate::Rejected } else { Fate::Taken }
        });
        let relays =
            [Running::start(world.relay_named("first")), Running::start(world.relay_named("second"))];
        let mut n = 0;
        let mut write = || {
            world.outbox.write([order("k", n), order("other", n)]);
            n += 1;
        };
        for _ in 0..50 {
            write();
            tokio::time::sleep(Duration::from_millis(9)).await;
        }
        until("it is set aside", || world.outbox.rejected_of(TOPIC, "k").len() > 10).await;
        mended.store(true, Ordering::Relaxed);
        for step in 0..50 {
            write();
            if step == 10 {
                world.outbox.rejected_keys().iter().for_each(|key| world.outbox.retry(key));
            }
            tokio::time::sleep(Duration::from_millis(3 + seed % 5)).await;
        }
        world.until_drained(200).await;
        let taken = world.broker.taken();
        assert_eq!(firsts_of(&taken, TOPIC, "k"), (0..100).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(firsts_of(&taken, TOPIC, "other"), (0..100).collect::<Vec<_>>(), "seed {seed}");
        assert_eq!(world.outbox.rejected_count(), 0);
        for relay in relays {
            relay.stop().await.unwrap();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_retried_rejected_event_does_not_wait_for_a_lease_renewal() {
    let world = World::new();
    let relay = Running::start(world.relay());
    for round in 0..10 {
        world.broker.script(|_| Fate::Rejected);
        world.outbox.write([order("k", round)]);
        until("it is set aside", || world.outbox.rejected_count() == 1).await;
        tokio::time::sleep(Duration::from_millis(100 * round as u64)).await;
        world.broker.script(|_| Fate::Taken);
        world.outbox.rejected_keys().iter().for_each(|key| world.outbox.retry(key));
        // The poll that finds the shard lost, and the renewal of the leases.
        let published = || world.broker.taken_count() == round + 1;
        within(Duration::from_millis(80), "it is published", published).await;
    }
    relay.stop().await.unwrap();
}
