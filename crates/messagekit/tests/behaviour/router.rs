//! Routing of messages to handlers, and configurations that a builder rejects.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use messagekit::adapter::codec;
use messagekit::{
    Consumer, Envelope, ErrorKind, Event, HandlerError, IdempotentConsumer, Message, OnUnknown, Router,
    headers,
};
use messagekit_memory::{MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

use crate::fixture::{CONSUMER, Placed, TOPIC, World, start, until};

#[derive(Serialize, Deserialize, Event)]
#[event(type = "orders.order.paid", key = "order")]
struct Paid {
    order: String,
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "orders.order.sent", key = "order")]
struct Sent {
    order: String,
}

async fn on_placed(tx: &mut MemoryTx, event: Envelope<Placed>) -> Result<(), HandlerError> {
    tx.add(format!("placed {}", event.data.order), event.data.n);
    Ok(())
}

async fn on_paid(prefix: &String, tx: &mut MemoryTx, event: Envelope<Paid>) -> Result<(), HandlerError> {
    tx.add(format!("{prefix} {}", event.data.order), 1);
    Ok(())
}

struct Sender {
    prefix: &'static str,
}

#[async_trait]
impl IdempotentConsumer<MemoryStore> for Sender {
    type Event = Sent;

    async fn handle(&self, tx: &mut MemoryTx, event: Envelope<Sent>) -> Result<(), HandlerError> {
        tx.add(format!("{} {}", self.prefix, event.data.order), 1);
        Ok(())
    }
}

async fn on_bytes(tx: &mut MemoryTx, message: Message) -> Result<(), HandlerError> {
    tx.insert("bytes", format!("{:?}", message.payload));
    Ok(())
}

async fn on_any_json(tx: &mut MemoryTx, event: Envelope<serde_json::Value>) -> Result<(), HandlerError> {
    tx.insert("json", format!("{} {} {}", event.event_id, event.data["order"], event.data["big"]));
    Ok(())
}

async fn on_rest(tx: &mut MemoryTx, message: Message) -> Result<(), HandlerError> {
    let event_type = message.headers.text(headers::EVENT_TYPE).unwrap_or("in the payload").to_owned();
    tx.add(format!("rest {event_type}"), 1);
    Ok(())
}

fn encoded<E: Event>(event: E) -> Message {
    codec::encode(&Envelope::new(event), "shop").expect("a plain event")
}

#[tokio::test(start_paused = true)]
async fn each_handler_kind_gets_its_type_and_the_fallback_the_rest() {
    let world = World::new(1);
    let raw = |event_type: &str, payload: &'static [u8]| {
        Message::new(TOPIC, payload)
            .with_header(headers::ID, format!("id of {event_type}"))
            .with_header(headers::EVENT_TYPE, event_type.to_owned())
    };
    let headerless = br#"{"eventId":"h","eventType":"orders.order.odd"}"#;
    for message in [
        encoded(Placed { order: "o".into(), n: 5 }),
        encoded(Paid { order: "o".into() }),
        encoded(Sent { order: "o".into() }),
        raw("orders.order.scanned", b"\x00\xff\x01"),
        raw("orders.order.noted", br#"{"order":"o","big":18446744073709551615}"#),
        raw("orders.order.lost", b""),
        Message::new(TOPIC, &headerless[..]),
    ] {
        world.publish(message).await;
    }
    let consumer = start(
        Consumer::builder(CONSUMER, world.store.clone())
            .from(world.log.topics([TOPIC]))
            .on(on_placed)
            .on_with(Arc::new("paid".to_owned()), on_paid)
            .consumer(Sender { prefix: "sent" })
            .on_message("orders.order.scanned", on_bytes)
            .on_json("orders.order.noted", on_any_json)
            .fallback(on_rest),
    );
    until(|| world.committed(0) == 7).await;
    assert_eq!(world.failed_messages().await, []);
    assert_eq!(consumer.stop().await.handled, 7);
    let numbers = world.store.numbers();
    let numbers: Vec<(&str, i64)> = numbers.iter().map(|(name, number)| (&**name, *number)).collect();
    assert_eq!(
        numbers,
        [
            ("paid o", 1),
            ("placed o", 5),
            ("rest in the payload", 1),
            ("rest orders.order.lost", 1),
            ("sent o", 1)
        ]
    );
    assert_eq!(world.store.text("bytes").as_deref(), Some(r#"b"\0\xff\x01""#));
    let json = r#"id of orders.order.noted "o" 18446744073709551615"#;
    assert_eq!(world.store.text("json").as_deref(), Some(json));
}

/// A state of two values.
type Names = (Arc<String>, Arc<str>);

async fn note_placed(
    shop: &String,
    town: &str,
    tx: &mut MemoryTx,
    _: Envelope<Placed>,
) -> Result<(), HandlerError> {
    tx.add(format!("placed {shop} {town}"), 1);
    Ok(())
}

async fn note_message(
    shop: &String,
    town: &str,
    tx: &mut MemoryTx,
    message: Message,
) -> Result<(), HandlerError> {
    tx.add(format!("{} {shop} {town}", message.event_type().unwrap_or("untyped")), 1);
    Ok(())
}

async fn note_json(
    shop: &String,
    tx: &mut MemoryTx,
    event: Envelope<serde_json::Value>,
) -> Result<(), HandlerError> {
    tx.add(format!("json {shop} {}", event.data["order"]), 1);
    Ok(())
}

async fn ask(shop: &String, town: &str, event: Envelope<Paid>) -> Result<String, HandlerError> {
    Ok(format!("{} of {shop} {town}", event.data.order))
}

async fn note_answer(
    shop: &String,
    town: &str,
    tx: &mut MemoryTx,
    _: Envelope<Paid>,
    answer: &String,
) -> Result<(), HandlerError> {
    tx.add(format!("{answer} in {shop} {town}"), 1);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn every_form_of_handler_takes_a_state_of_several_values() {
    let world = World::new(1);
    let raw = |event_type: &'static str| {
        let payload = &br#"{"order":"o"}"#[..];
        Message::new(TOPIC, payload)
            .with_header(headers::ID, format!("id of {event_type}"))
            .with_header(headers::EVENT_TYPE, event_type)
    };
    for message in [
        encoded(Placed { order: "o".into(), n: 5 }),
        encoded(Paid { order: "o".into() }),
        raw("orders.order.scanned"),
        raw("orders.order.noted"),
        raw("orders.order.lost"),
    ] {
        world.publish(message).await;
    }
    let names: Names = (Arc::new("shop".to_owned()), Arc::from("town"));
    let consumer = start(
        Consumer::builder(CONSUMER, world.store.clone())
            .from(world.log.topics([TOPIC]))
            .on_with(names.clone(), note_placed)
            .on_call_with(names.clone(), ask, note_answer)
            .on_message_with("orders.order.scanned", names.clone(), note_message)
            .on_json_with("orders.order.noted", Arc::clone(&names.0), note_json)
            .fallback_with(names, note_message),
    );
    until(|| world.committed(0) == 5).await;
    assert_eq!(world.failed_messages().await, []);
    assert_eq!(consumer.stop().await.handled, 5);
    let numbers = world.store.numbers();
    let noted: Vec<&str> = numbers.keys().map(|name| &**name).collect();
    assert_eq!(
        noted,
        [
            "json shop \"o\"",
            "o of shop town in shop town",
            "orders.order.lost shop town",
            "orders.order.scanned shop town",
            "placed shop town",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn bytes_without_a_usable_identity_reach_no_handler() {
    let world = World::new(1);
    let message = |id: &'static str| {
        Message::new(TOPIC, &b"\xff"[..])
            .with_header(headers::ID, id)
            .with_header(headers::EVENT_TYPE, "orders.order.scanned")
    };
    world.publish(message("at:orders.order/0/9")).await;
    world.publish(message("b-1")).await;
    world.publish(message("b-1")).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
    let consumer = start(builder.on_message("orders.order.scanned", on_bytes));
    until(|| world.committed(0) == 3).await;
    let stats = consumer.stop().await;
    assert_eq!((stats.handled, stats.duplicates, stats.dead), (1, 1, 1));
    assert_eq!(world.failed_message("at:orders.order/0/0").await.kind, "bad_id");
}

#[tokio::test(start_paused = true)]
async fn one_router_serves_several_consumers() {
    let world = World::new(1);
    world.publish(encoded(Placed { order: "o".into(), n: 1 })).await;
    let router = Router::<MemoryStore>::new().on(on_placed).consumer(Sender { prefix: "sent" });
    assert_eq!(router.types(), ["orders.order.placed", "orders.order.sent"]);
    let consumers = ["billing", "shipping"].map(|name| {
        let builder = Consumer::builder(name, world.store.clone()).from(world.log.topics([TOPIC]));
        start(builder.router(router.clone()))
    });
    until(|| world.store.get("placed o") == 2).await;
    for consumer in consumers {
        consumer.stop().await;
    }
}

#[test]
fn a_builder_names_all_its_problems_at_once() {
    let world = World::new(1);
    let builder = |name: &str| Consumer::builder(name, world.store.clone()).from(world.log.topics([TOPIC]));
    let error = builder("bill ing")
        .on(on_placed)
        .on_json("orders.order.placed", on_any_json)
        .fallback(on_rest)
        .fallback(on_bytes)
        .deadline(Duration::ZERO)
        .build()
        .expect_err("five problems");
    assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
    for part in [
        "two handlers for one event type, of which one takes every version: keep one (event_type orders.order.placed)",
        "two fallback handlers",
        r#"consumer name "bill ing" is not 1 to 200 characters of a-z A-Z 0-9 . _ -"#,
        "deadline of 0",
    ] {
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
    let error = builder("").build().expect_err("no name and no handler");
    assert!(
        error.to_string().contains("consumer name \"\"") && error.to_string().contains("no handler"),
        "{error}"
    );
    for bad in ["a/b", "ü", "a\n", &"a".repeat(201)] {
        assert!(builder(bad).on(on_placed).build().is_err(), "{bad:?}");
    }
    for good in ["a", "Billing_2.eu-west", &"a".repeat(200)] {
        assert!(builder(good).on(on_placed).build().is_ok(), "{good:?}");
    }
}

#[test]
fn topics_follow_from_the_handlers_of_events() {
    let world = World::new(1);
    let builder = || Consumer::builder("billing", world.store.clone()).from(world.log.clone());
    assert!(builder().on(on_placed).build().is_ok());
    let problem = |error: messagekit::Error| error.to_string();
    let any = builder().on(on_placed).on_message("orders.order.cancelled", on_bytes).build().map_err(problem);
    assert!(any.is_err_and(|problem| problem.contains("name the topics of the source")));
}

#[test]
fn a_builder_names_the_topics_that_it_cannot_read() {
    let world = World::new(1);
    let built = |topics: &[&'static str]| {
        let source = world.log.topics(topics.iter().copied());
        Consumer::builder("billing", world.store.clone()).from(source).on(on_placed).build()
    };
    for (topics, part) in [
        (
            &["orders.ordre"][..],
            "orders.order.placed is published to topic orders.order, and the source reads orders.ordre",
        ),
        (&[], "a source without topics delivers nothing"),
        (&["orders.order", "orders.order"], "names orders.order twice"),
        (&["orders.order", "a b"], r#"topic "a b" is not 1 to 249 characters"#),
    ] {
        let error = built(topics).expect_err(part);
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
    assert!(built(&["staging.orders.order"]).is_ok(), "an environment may have a prefix");
    let source = world.log.topics(["anything"]);
    let raw = Consumer::builder("billing", world.store.clone()).from(source).fallback(on_rest);
    assert!(raw.build().is_ok(), "a handler of messages takes those of any topic");
}

#[tokio::test(start_paused = true)]
async fn policies_that_are_set_before_a_router_are_kept() {
    for (of_router, dead) in [(None, 1), (Some(OnUnknown::Ignore), 0)] {
        let world = World::new(1);
        world.publish(encoded(Paid { order: "o".to_owned() })).await;
        let router = Router::new().on(on_placed);
        let router = of_router.into_iter().fold(router, Router::on_unknown);
        let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
        let consumer = start(builder.on_unknown(OnUnknown::DeadLetter).router(router));
        until(|| consumer.read().ignored + consumer.read().dead == 1).await;
        consumer.stop().await;
        assert_eq!(world.failed_messages_now(), dead);
    }
}
