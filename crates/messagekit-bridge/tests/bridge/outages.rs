use std::num::NonZeroUsize;
use std::time::Duration;

use messagekit_prometheus::Metrics;
use tokio::time::Instant;

use crate::broker::Fate;
use crate::fixture::{Running, World, firsts_of, until};

#[tokio::test(start_paused = true)]
async fn an_outage_settles_nothing_and_ends_with_everything_once() {
    let world = World::new(3);
    world.broker.script(|_| Fate::Away);
    world.publish_keys(30, 10).await;
    let registry = prometheus::Registry::new();
    let metrics = Metrics::new(&registry).unwrap();
    let is_blocked = || {
        let text = messagekit_prometheus::text(&registry);
        let line = text.lines().find(|line| line.starts_with("messagekit_bridge_blocked{")).unwrap();
        line.ends_with(" 1")
    };
    let running = Running::start(world.bridge().metrics(&metrics));
    tokio::time::sleep(Duration::from_secs(300)).await;
    assert_eq!((world.committed(), world.dead_letters().len()), (0, 0));
    assert!(is_blocked(), "the metric does not show the outage");
    let blocked = running.stats.read().blocked.expect("an outage");
    assert_eq!(blocked.error, "broker is away");
    assert!(blocked.since >= Duration::from_secs(299), "{blocked:?}");
    world.broker.script(|_| Fate::Taken);
    let over = Instant::now();
    until("the first is there", || running.stats.read().forwarded > 0).await;
    assert!(over.elapsed() <= Duration::from_secs(5), "{:?}", over.elapsed());
    until("all are settled", || world.committed() == 300).await;
    assert_eq!((world.broker.taken().len(), running.stats.read().blocked), (300, None));
    assert!(!is_blocked(), "the metric does not show the end of the outage");
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_silent_broker_is_said_to_be_one_and_holds_a_bounded_number() {
    let world = World::new(1);
    world.broker.block(true);
    world.publish_keys(1_000, 10).await;
    let running = Running::start(world.bridge());
    tokio::time::sleep(Duration::from_secs(300)).await;
    let stats = running.stats.read();
    assert_eq!((stats.unconfirmed, stats.lanes), (500, 1));
    assert!(stats.waiting <= 2_000, "{stats:?}");
    assert_eq!(world.committed(), 0);
    assert_eq!(stats.blocked.unwrap().error, "broker confirms nothing");
    world.broker.block(false);
    until("all are settled", || world.committed() == 10_000).await;
    assert_eq!(world.broker.taken().len(), 10_000);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_full_window_of_unconfirmed_messages_settles_none_of_them() {
    for unconfirmed in [1, 7, 500] {
        let world = World::new(3);
        world.broker.block(true);
        world.publish_keys(600, 2).await;
        let limit = NonZeroUsize::new(unconfirmed).unwrap();
        let running = Running::start(world.bridge().unconfirmed(limit).drain(Duration::from_secs(4)));
        tokio::time::sleep(Duration::from_secs(60)).await;
        let in_flight = unconfirmed as u64;
        assert_eq!((running.stats.read().unconfirmed, world.broker.publishes()), (in_flight, in_flight));
        assert_eq!(world.committed(), 0, "with {unconfirmed} in flight and none confirmed");
        running.stop().await.unwrap();
        assert_eq!(world.committed(), 0, "after a stop with {unconfirmed} in flight and none confirmed");
    }
}

#[tokio::test(start_paused = true)]
async fn an_unknown_publish_is_repeated_with_the_same_id_and_bytes() {
    let world = World::new(2);
    let mut count = 0;
    world.broker.script(move |_| {
        count += 1;
        match count % 5 {
            0 => Fate::TakenUnknown,
            1 => Fate::LostUnknown,
            _ => Fate::Taken,
        }
    });
    world.publish_keys(20, 10).await;
    let running = Running::start(world.bridge());
    until("all are settled", || world.committed() == 200).await;
    let taken = world.broker.taken();
    assert!(taken.len() > 200);
    for message in &taken {
        let id = message.headers.text("id").unwrap();
        let copies = taken.iter().filter(|copy| copy.headers.text("id") == Some(id));
        assert!(copies.into_iter().all(|copy| copy == message));
    }
    let ids = world.broker.taken_ids();
    for key in 0..20 {
        assert_eq!(firsts_of(&ids, &format!("k{key}")), (0..10).collect::<Vec<_>>());
    }
    running.stop().await.unwrap();
}
