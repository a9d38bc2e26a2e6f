//! Unusual records that the consumer skips or applies exactly.

use messagekit::adapter::MAX_PAYLOAD_BYTES;
use messagekit::{Consumer, Envelope, Event, HandlerError, Message, OnUnknown, headers};
use messagekit_memory::MemoryTx;
use serde::{Deserialize, Serialize};

use crate::fixture::{CONSUMER, TOPIC, World, start, until};

/// Creates a record with the usual headers and this payload.
fn record(payload: impl Into<Vec<u8>>) -> Message {
    Message::new(TOPIC, payload.into())
        .with_header(headers::ID, "h-1")
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
}

/// Every field may be absent, so a lenient reader accepts any object.
#[derive(Serialize, Deserialize, Event)]
#[event(type = "orders.order.noted")]
struct Noted {
    text: Option<String>,
    big: Option<u64>,
    small: Option<i64>,
}

async fn note(tx: &mut MemoryTx, event: Envelope<Noted>) -> Result<(), HandlerError> {
    tx.add("notes", 1);
    tx.insert("text", event.data.text.unwrap_or_default());
    tx.insert("numbers", format!("{:?} {:?}", event.data.big, event.data.small));
    Ok(())
}

async fn noted(payload: impl Into<Vec<u8>>) -> World {
    let world = World::new(1);
    world.publish(record(payload).with_header(headers::EVENT_TYPE, "orders.order.noted")).await;
    let consumer =
        start(Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC])).on(note));
    until(|| world.committed(0) == 1).await;
    consumer.stop().await;
    world
}

#[tokio::test(start_paused = true)]
async fn array_is_no_event_even_where_its_items_would_fit() {
    let world = noted("[null, null]").await;
    assert_eq!(world.store.get("notes"), 0);
    assert_eq!(world.failed_message("at:orders.order/0/0").await.kind, "undecodable");
}

#[tokio::test(start_paused = true)]
async fn the_edges_of_64_bits_arrive_exactly() {
    let world = noted(format!(r#"{{"big":{},"small":{}}}"#, u64::MAX, i64::MIN)).await;
    assert_eq!(
        world.store.text("numbers").as_deref(),
        Some("Some(18446744073709551615) Some(-9223372036854775808)")
    );
}

#[tokio::test(start_paused = true)]
async fn a_nul_inside_a_text_of_a_valid_event_is_applied_as_it_is() {
    let world = noted(r#"{"text":"a\u0000b\u001f\ud83d\ude00"}"#).await;
    assert_eq!(world.store.text("text").as_deref(), Some("a\0b\u{1f}\u{1f600}"));
    assert_eq!(world.failed_messages().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn unknown_event_fields_are_ignored_at_any_depth() {
    let deep = format!(r#"{{"text":"x","more":{}1{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
    assert_eq!(noted(deep).await.store.text("text").as_deref(), Some("x"));
}

#[tokio::test(start_paused = true)]
async fn huge_payloads_are_applied_or_kept_whole() {
    let good = format!(r#"{{"text":"{}"}}"#, "x".repeat(MAX_PAYLOAD_BYTES - 11));
    assert_eq!(good.len(), MAX_PAYLOAD_BYTES);
    assert_eq!(noted(good).await.store.text("text").map(|text| text.len()), Some(MAX_PAYLOAD_BYTES - 11));

    let bad = vec![b'{'; MAX_PAYLOAD_BYTES];
    let failed_message = noted(bad.clone()).await.failed_message("at:orders.order/0/0").await;
    assert_eq!(failed_message.received.message.payload, bad);
}

#[tokio::test(start_paused = true)]
async fn a_type_without_a_handler_is_passed_over_and_counted() {
    let world = World::new(1);
    // The consumer does not read its payload.
    world.publish(record("{").with_header(headers::EVENT_TYPE, "orders.order.paid")).await;
    world.publish(Message::new(TOPIC, r#"{"eventId":"p-2","eventType":"orders.order.paid"}"#)).await;
    world.push("a", 1).await;
    let consumer = start(world.billing());
    until(|| world.committed(0) == 3).await;
    let stats = consumer.stop().await;
    assert_eq!((stats.ignored, stats.handled, stats.dead), (2, 1, 0));
    assert_eq!(world.failed_messages().await.len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_type_without_a_handler_is_kept_where_the_consumer_says_so() {
    let world = World::new(1);
    let unknown = record(r#"{"order":"a","n":1}"#).with_header(headers::EVENT_TYPE, "orders.order.paid");
    world.publish(unknown.clone()).await;
    world.push("a", 1).await;
    let consumer = start(world.billing().on_unknown(OnUnknown::DeadLetter));
    until(|| world.committed(0) == 2).await;
    let failed_message = world.failed_message("h-1").await;
    assert_eq!((&*failed_message.kind, &failed_message.received.message), ("unknown_type", &unknown));
    assert!(failed_message.error.contains("deploy one, then retry"));
    assert_eq!(consumer.stop().await.dead, 1);
}
