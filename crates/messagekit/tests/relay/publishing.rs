use std::time::Duration;

use messagekit::{ErrorKind, Message, headers};

use crate::fixture::{OTHER, Running, TOPIC, World, event, firsts_of, order, until, within};

#[tokio::test(start_paused = true)]
async fn every_event_is_published_once_unchanged_and_in_key_order() {
    let world = World::new();
    world.write_keys(40, 50);
    let relay = Running::start(world.relay());
    world.until_drained(2_000).await;
    let taken = world.broker.taken();
    assert_eq!(taken.len(), 2_000, "without a fault nothing comes twice");
    for key in 0..40 {
        let key = format!("k{key}");
        assert_eq!(firsts_of(&taken, TOPIC, &key), (0..50).collect::<Vec<_>>());
    }
    assert!(taken.contains(&order("k7", 3)), "an event is changed on its way");
    let stats = relay.stats.read();
    assert_eq!((stats.published, stats.rejected, stats.repeated, stats.unconfirmed), (2_000, 0, 0, 0));
    assert_eq!((stats.shards, stats.undeleted, stats.paused, stats.database), (64, 0, Vec::new(), None));
    assert!(stats.lease.is_some());
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_of_this_process_are_published_without_a_poll() {
    let world = World::new();
    let relay = Running::start(world.relay().poll(Duration::from_secs(60)));
    until("the relay looks for the next time", || world.outbox.with(|state| state.statements.pending) > 0)
        .await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 0..10 {
        world.outbox.write([order("k", n)]);
        world.outbox.wake();
        within(Duration::from_millis(5), "it is published", || world.broker.taken_count() == n + 1).await;
    }
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_another_process_commits_is_published_within_the_poll() {
    let world = World::new();
    let relay = Running::start(world.relay());
    tokio::time::sleep(Duration::from_secs(1)).await;
    for n in 0..10 {
        tokio::time::sleep(Duration::from_millis(n as u64 * 7)).await;
        world.outbox.write([order("k", n)]);
        within(Duration::from_millis(50), "it is published", || world.broker.taken_count() == n + 1).await;
    }
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn events_of_a_busy_writer_never_wait_a_full_poll_interval() {
    let world = World::new();
    let relay = Running::start(world.relay());
    tokio::time::sleep(Duration::from_secs(1)).await;
    let read_in_a_second = async || {
        let before = relay.stats.read().reads;
        tokio::time::sleep(Duration::from_secs(1)).await;
        relay.stats.read().reads - before
    };
    let of_silence = read_in_a_second().await;
    world.outbox.write([order("k", 0)]);
    within(Duration::from_millis(50), "it is published", || world.broker.taken_count() == 1).await;
    for n in 1..100 {
        tokio::time::sleep(Duration::from_millis(n as u64 % 40)).await;
        world.outbox.write([order("k", n)]);
        within(Duration::from_millis(10), "it is published", || world.broker.taken_count() == n + 1).await;
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(read_in_a_second().await, of_silence, "an outbox in which nothing happens is left in peace");
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_relay_stop_waits_for_events_in_flight() {
    let world = World::new();
    world.broker.waits(|_| Duration::from_millis(3));
    world.write_keys(100, 20);
    let relay = Running::start(world.relay().batch(20.try_into().unwrap()));
    until("some are published", || world.broker.taken_count() > 50).await;
    let stats = relay.stats.clone();
    relay.stop().await.unwrap();
    let taken = world.broker.taken_count();
    assert!(taken < 2_000, "a stop publishes no more than what is in flight");
    assert_eq!((stats.read().shards, stats.read().unconfirmed, stats.read().lease), (0, 0, None));
    assert_eq!(world.outbox.pending_count(), 2_000 - taken, "what was confirmed is still pending");
    assert_eq!(world.outbox.shards_of(""), 0, "shards were not handed over");

    let next = Running::start(world.relay());
    world.until_drained(2_000).await;
    assert_eq!(world.broker.taken_count(), 2_000);
    next.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_stop_does_not_wait_for_a_silent_broker_for_ever() {
    let world = World::new();
    world.broker.silence(&[TOPIC]);
    world.write_keys(10, 1);
    let relay = Running::start(world.relay().drain(Duration::from_secs(3)));
    until("it is sent", || world.broker.calls() > 0).await;
    let began = tokio::time::Instant::now();
    relay.stop().await.unwrap();
    assert!(began.elapsed() <= Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(world.outbox.shards_of(""), 0);
    assert_eq!(world.outbox.pending_count(), 10);
}

#[tokio::test(start_paused = true)]
async fn a_routing_key_stands_in_place_of_the_topic() {
    let world = World::new();
    let nameless = Message::new(TOPIC, "{}").with_key("nameless").with_header(headers::ID, "nameless-0");
    world.outbox.write([order("k", 0), event(OTHER, "k", 1), nameless, order("k", 2)]);
    let template = "{topic}/{eventType}".parse().unwrap();
    let relay = Running::start(world.relay().routing_key(template));
    until("all have left", || world.outbox.pending_count() == 0).await;
    let mut keys: Vec<String> =
        world.broker.taken().iter().map(|message| message.topic.to_string()).collect();
    keys.sort();
    let (orders, parcels) = ("orders.order/orders.order.placed", "orders.parcel/orders.order.placed");
    assert_eq!(keys, [orders, orders, parcels]);
    assert_eq!(world.outbox.rejected_of(TOPIC, "nameless"), ["nameless-0"]);
    relay.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_outbox_without_the_tables_of_a_relay_ends_it() {
    let world = World::new();
    world.outbox.break_it(ErrorKind::Schema);
    let relay = Running::start(world.relay());
    let error = relay.ended().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
}

/// As after a failover that lost the first commit: the second event got its position.
#[tokio::test(start_paused = true)]
async fn event_at_the_position_of_a_published_one_is_not_deleted() {
    let world = World::new();
    world.outbox.set_deletes_down(true);
    world.outbox.write_at(7, order("k", 0));
    let relay = Running::start(world.relay());
    until("the first is published", || world.broker.taken_count() == 1).await;
    world.outbox.write_at(7, order("k", 1));
    world.outbox.set_deletes_down(false);
    world.until_drained(2).await;
    assert_eq!(firsts_of(&world.broker.taken(), TOPIC, "k"), [0, 1]);
    relay.stop().await.unwrap();
}
