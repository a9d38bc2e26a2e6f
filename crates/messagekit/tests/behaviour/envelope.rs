//! The metadata that a handler receives.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::codec;
use messagekit::memory::MemoryTx;
use messagekit::{
    Consumer, DeliveryInfo, Envelope, ErrorKind, Event, HandlerError, Message, MessageId, Meta, OnFailure,
    Outbox, Position, Store, headers,
};

use crate::fixture::{CONSUMER, Placed, TOPIC, World, id, placed, seconds, start, until};

fn order(n: i64) -> Placed {
    Placed { order: "o".to_owned(), n }
}

#[test]
fn a_consequence_carries_its_cause_and_the_start_of_the_chain() {
    let first = Envelope::new(order(1));
    assert_eq!((&first.correlation_id, &first.causation_id), (&None, &None));
    let second = order(2).follow(&first);
    assert_eq!(second.causation_id.as_ref(), Some(&first.event_id));
    assert_eq!(second.correlation_id.as_ref(), Some(&first.event_id), "the chain starts with the first");
    let third = order(3).follow(&second);
    assert_eq!(third.causation_id.as_ref(), Some(&second.event_id));
    assert_eq!(third.correlation_id.as_ref(), Some(&first.event_id));
    let ids = [&first.event_id, &second.event_id, &third.event_id];
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert!(first.delivery().is_none(), "it was not received from anywhere");
}

type Seen = Mutex<Vec<(Meta, DeliveryInfo, Option<Duration>)>>;

async fn look(seen: &Seen, _: &mut MemoryTx, event: Envelope<Placed>) -> Result<(), HandlerError> {
    let delivery = event.delivery().expect("it was delivered").clone();
    tokio::time::sleep(Duration::from_millis(250)).await;
    let left = delivery.time_left();
    seen.lock().expect("seen").push((event.meta.clone(), delivery, left));
    if seen.lock().expect("seen").len() == 1 { Err(HandlerError::retryable("once more")) } else { Ok(()) }
}

async fn deliver(message: Message) -> Vec<(Meta, DeliveryInfo, Option<Duration>)> {
    let (world, seen) = (World::new(1), Arc::new(Seen::default()));
    world.publish(message).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
    let consumer = start(builder.deadline(seconds(4)).on_with(seen.clone(), look));
    until(|| seen.lock().expect("seen").len() == 2).await;
    consumer.stop().await;
    let seen = seen.lock().expect("seen");
    seen.clone()
}

#[tokio::test(start_paused = true)]
async fn a_delivery_says_which_run_it_is_and_where_the_message_stands() {
    let sent = placed("o", 1)
        .with_header("tenant", "north")
        .with_header(headers::CREATED_AT, "2026-01-01T00:00:00Z");
    let seen = deliver(sent.clone()).await;
    for ((_, delivery, left), attempt) in seen.iter().zip([1, 2]) {
        assert_eq!(delivery.attempt, attempt);
        assert_eq!(delivery.headers, sent.headers);
        assert_eq!(delivery.position, Some(Position { topic: TOPIC.into(), partition: 0, offset: 0 }));
        assert_eq!(*left, Some(Duration::from_millis(3_750)));
    }
}

#[tokio::test(start_paused = true)]
async fn everything_about_an_event_arrives_as_it_was_written() {
    let mut sent = order(7).follow(&Envelope::new(order(6)));
    sent.event_id = id("o-7");
    sent.source = "till".to_owned();
    sent.metadata.insert("channel".to_owned(), serde_json::json!({"kind": "phone", "line": 3}));
    let seen = deliver(codec::encode(&sent, "shop").expect("encoded")).await;
    assert_eq!(seen[0].0, sent.meta);
    assert_eq!(seen[1].0, sent.meta, "a failed message keeps it");
}

/// A message of a publisher in another language: no headers, snake case, little metadata.
#[tokio::test(start_paused = true)]
async fn a_foreign_publisher_may_leave_nearly_everything_out() {
    let body = r#"{"event_id":"x-1","event_type":"orders.order.placed","order":"o","n":1,"unknown":[1]}"#;
    let seen = deliver(Message::new(TOPIC, body).with_key("o")).await;
    let meta = &seen[0].0;
    assert_eq!((meta.event_id.as_str(), &*meta.event_type), ("x-1", "orders.order.placed"));
    assert_eq!((meta.aggregate_id.as_deref(), &*meta.source, &*meta.data_version), (Some("o"), "", "1.0"));
    assert!(meta.metadata.is_empty() && meta.correlation_id.is_none() && meta.causation_id.is_none());
}

#[derive(serde::Serialize, serde::Deserialize, Event)]
#[event(type = "billing.invoice.sent", key = "order")]
struct InvoiceSent {
    order: String,
}

async fn bill(
    outbox: &Outbox<messagekit::memory::MemoryStore>,
    tx: &mut MemoryTx,
    event: Envelope<Placed>,
) -> Result<(), HandlerError> {
    let sent = InvoiceSent { order: event.data.order.clone() }.follow(&event);
    outbox.add(tx, sent).await?;
    if event.data.n == 2 { Err(HandlerError::permanent("no")) } else { Ok(()) }
}

#[tokio::test(start_paused = true)]
async fn handler_event_exists_exactly_when_its_message_is_applied() {
    let world = World::new(1);
    world.push_all("o", 3).await;
    let outbox = Arc::new(Outbox::new(world.store.clone(), "billing"));
    let builder = Consumer::builder(CONSUMER, world.store.clone())
        .from(world.log.topics([TOPIC]))
        .on_failure(OnFailure::DeadLetter);
    let consumer = start(builder.on_with(outbox, bill));
    until(|| world.committed(0) == 3).await;
    consumer.stop().await;
    let causes: Vec<MessageId> = world
        .store
        .outbox()
        .iter()
        .map(|message| {
            let body: serde_json::Value = serde_json::from_slice(&message.payload).expect("JSON");
            assert_eq!((&*message.topic, &body["source"]), ("billing.invoice", &"billing".into()));
            id(body["causationId"].as_str().expect("a cause"))
        })
        .collect();
    assert_eq!(causes, [id("o-1"), id("o-3")]);
}

#[tokio::test]
async fn a_topic_prefix_goes_before_every_topic_and_must_be_valid() {
    let sent = || InvoiceSent { order: "o-1".to_owned() };
    let store = World::new(1).store;
    let outbox = Outbox::new(store.clone(), "billing").topic_prefix("staging.");
    let mut tx = store.begin().await.expect("begins");
    outbox.add(&mut tx, sent()).await.expect("added");
    outbox.add_all(&mut tx, [sent()]).await.expect("added");
    outbox.commit(tx).await.expect("commits");
    let topics: Vec<String> = store.outbox().iter().map(|message| message.topic.to_string()).collect();
    assert_eq!(topics, ["staging.billing.invoice"; 2]);

    let mut tx = store.begin().await.expect("begins");
    let spoilt = outbox.topic_prefix("my staging/").add(&mut tx, sent()).await;
    assert_eq!(spoilt.expect_err("no topic").kind(), ErrorKind::InvalidEvent);
}
