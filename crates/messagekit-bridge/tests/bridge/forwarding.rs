use std::time::Duration;

use bytes::Bytes;
use messagekit::{Message, headers};
use tokio::time::Instant;

use crate::fixture::{Running, TOPIC, World, firsts_of, order, until};

#[tokio::test(start_paused = true)]
async fn a_message_arrives_with_its_id_key_headers_and_bytes() {
    let world = World::new(1);
    let payload = Bytes::from(vec![b'{', 0xff, 0x00, b' ', b'}']);
    let sent = Message { payload: payload.clone(), ..order("o-1", 0) }
        .with_header(headers::TRACEPARENT, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        .with_header("tenant", vec![0xfe, 0x01])
        .with_header(headers::SOURCE_TOPIC, "a forged one");
    world.publish([order("o-0", 0), sent.clone()]).await;
    let running = Running::start(world.bridge());
    until("both are settled", || world.committed() == 2).await;
    let found = world.broker.taken().into_iter().find(|message| message.payload == payload).unwrap();
    assert_eq!(&*found.topic, "orders.order.placed");
    assert_eq!(found.key, sent.key);
    for (name, value) in [
        ("id", &b"o-1-0"[..]),
        ("tenant", &[0xfe, 0x01]),
        (headers::TRACEPARENT, b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        (headers::SOURCE_TOPIC, TOPIC.as_bytes()),
        (headers::SOURCE_PARTITION, b"0"),
        (headers::SOURCE_OFFSET, b"1"),
    ] {
        assert_eq!(found.headers.get(name).map(|value| &value[..]), Some(value), "{name}");
    }
    // The same bytes as in the record: the payload was not copied.
    assert_eq!(found.payload.as_ptr(), payload.as_ptr());
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn the_id_in_a_payload_becomes_the_header() {
    let world = World::new(1);
    let payload = r#"{"event_id": "p-1", "event_type": "orders.order.placed"}"#;
    world.publish([Message::new(TOPIC, payload)]).await;
    let running = Running::start(world.bridge());
    until("it is settled", || world.committed() == 1).await;
    assert_eq!(world.broker.taken_ids(), ["p-1"]);
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn one_message_of_a_key_and_many_keys_are_unconfirmed_at_once() {
    let world = World::new(4);
    world.broker.latency(Duration::from_secs(1));
    world.publish_keys(100, 10).await;
    let started = Instant::now();
    let running = Running::start(world.bridge());
    until("all are settled", || {
        assert!((0..100).all(|key| world.broker.unconfirmed_of(&format!("k{key}")) <= 1));
        world.committed() == 1_000
    })
    .await;
    // Ten rounds of a second, each with every key.
    assert!(started.elapsed() < Duration::from_secs(11), "{:?}", started.elapsed());
    assert_eq!(world.broker.most_unconfirmed(), 100);
    let ids = world.broker.taken_ids();
    for key in 0..100 {
        assert_eq!(firsts_of(&ids, &format!("k{key}")), (0..10).collect::<Vec<_>>());
    }
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn messages_without_a_key_fill_the_window_and_no_more() {
    let world = World::new(1);
    world.broker.latency(Duration::from_secs(1));
    let keyless = |n| Message { key: None, ..order("none", n) };
    world.publish((0..1_000).map(keyless)).await;
    let started = Instant::now();
    let running = Running::start(world.bridge());
    until("all are settled", || world.committed() == 1_000).await;
    assert_eq!(world.broker.most_unconfirmed(), 500);
    assert!(started.elapsed() < Duration::from_secs(3), "{:?}", started.elapsed());
    running.stop().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_slow_key_does_not_hold_the_others() {
    let world = World::new(1);
    world.publish_keys(50, 20).await;
    world.broker.script(|message| match message.key.as_deref() == Some(b"k7") {
        true => crate::broker::Fate::Away,
        false => crate::broker::Fate::Taken,
    });
    let running = Running::start(world.bridge());
    until("the others are there", || running.stats.read().forwarded == 49 * 20).await;
    // The first message of the slow key holds the offset.
    assert_eq!(world.committed(), 7);
    world.broker.script(|_| crate::broker::Fate::Taken);
    until("all are settled", || world.committed() == 1_000).await;
    assert_eq!(firsts_of(&world.broker.taken_ids(), "k7"), (0..20).collect::<Vec<_>>());
    running.stop().await.unwrap();
}
