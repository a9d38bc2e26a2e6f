//! The metadata that a handler receives.

use std::cell::RefCell;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{RemoteContext, SpanCounts, Telemetry, codec, set_telemetry};
use messagekit::headers::TraceContext;
use messagekit::{
    Consumer, DeliveryInfo, Envelope, ErrorKind, Event, HandlerError, Message, MessageId, Meta, OnFailure,
    Outbox, Position, Store, headers,
};
use messagekit_memory::{Failpoint, MemoryLog, MemoryStore, MemoryTx};
use tracing::Span;

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
    outbox: &Outbox<messagekit_memory::MemoryStore>,
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
    let outbox = Arc::new(Outbox::new(world.store.clone(), "billing").unwrap());
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
    let outbox = Outbox::new(store.clone(), "billing").unwrap().topic_prefix("staging.");
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

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Writes an event and returns its row.
async fn written(event: impl Into<Envelope<Placed>>) -> Message {
    let store = World::new(1).store;
    let outbox = Outbox::new(store.clone(), "shop").expect("a plain name");
    let mut tx = store.begin().await.expect("begins");
    outbox.add(&mut tx, event).await.expect("added");
    outbox.commit(tx).await.expect("commits");
    store.outbox().remove(0)
}

type Received = Mutex<Vec<Envelope<Placed>>>;

async fn receive(all: &Received, _: &mut MemoryTx, event: Envelope<Placed>) -> Result<(), HandlerError> {
    all.lock().expect("received").push(event);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn free_headers_and_trace_reach_the_handler_as_written() {
    let mut sent = Envelope::new(order(1));
    sent.headers.insert("tenant".to_owned(), "nörd \"west\"".to_owned());
    let trace: TraceContext = PARENT.parse().expect("valid");
    sent.trace = Some(trace.with_state("vendor=1,other=2").expect("valid"));
    let row = written(sent.clone()).await;
    assert_eq!(row.headers.text(headers::TRACEPARENT), Some(PARENT));

    let (world, all) = (World::new(1), Arc::new(Received::default()));
    world.publish(row).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics([TOPIC]));
    let consumer = start(builder.on_with(all.clone(), receive));
    until(|| !all.lock().expect("received").is_empty()).await;
    consumer.stop().await;
    let received = all.lock().expect("received").remove(0);
    assert_eq!((&received.headers, &received.trace), (&sent.headers, &sent.trace));
    // What was received can be written again.
    assert_eq!(written(received).await.headers.free(), written(sent).await.headers.free());
}

#[tokio::test]
async fn a_free_header_must_not_have_a_name_of_messagekit() {
    for name in ["", "id", "headers", "traceparent", "tracestate", "x-messagekit-topic", "x-messagekit-new"] {
        let mut sent = Envelope::new(order(1));
        sent.headers.insert(name.to_owned(), "x".to_owned());
        let refused = codec::encode(&sent, "shop").expect_err(name);
        assert_eq!(refused.kind(), ErrorKind::InvalidEvent, "{name:?}");
    }
}

thread_local! {
    /// The context of the current span: each test has a thread of its own.
    static SPAN: RefCell<Option<TraceContext>> = const { RefCell::new(None) };
}

/// Gives each new span the context of this thread.
#[derive(Debug)]
struct OfThread;

impl Telemetry for OfThread {
    fn current(&self) -> Option<TraceContext> {
        SPAN.with(|span| span.borrow().clone())
    }

    fn context(&self, _: &Span) -> Option<TraceContext> {
        self.current()
    }

    fn remote(&self, _: &TraceContext) -> Option<Box<dyn RemoteContext>> {
        None
    }

    fn set_parent(&self, _: &Span, _: &TraceContext) {}

    fn link(&self, _: &Span, _: &TraceContext) {}

    fn spans(&self) -> SpanCounts {
        SpanCounts::default()
    }
}

#[tokio::test]
async fn a_new_event_takes_the_trace_of_its_span() {
    set_telemetry(OfThread).expect("it is set once");
    let again = set_telemetry(OfThread).expect_err("it is set");
    assert_eq!(again.kind(), ErrorKind::WrongState);

    let row = written(order(1)).await;
    assert_eq!(row.headers.get(headers::TRACEPARENT), None, "there is no span");
    let span: TraceContext = PARENT.parse().expect("valid");
    SPAN.with(|current| *current.borrow_mut() = Some(span.with_state("vendor=1").expect("valid")));
    let row = written(order(1)).await;
    assert_eq!(row.headers.text(headers::TRACEPARENT), Some(PARENT));
    assert_eq!(row.headers.free().get(headers::TRACESTATE).map(String::as_str), Some("vendor=1"));

    let mut own = Envelope::new(order(1));
    let other = PARENT.replace("-01", "-00");
    own.trace = Some(other.parse().expect("valid"));
    assert_eq!(written(own).await.headers.text(headers::TRACEPARENT), Some(&*other), "its own comes first");
}

#[tokio::test]
async fn an_event_is_read_back_outside_of_a_handler() {
    let mut sent = Envelope::new(order(7));
    sent.headers.insert("tenant".to_owned(), "blue".to_owned());
    let message = codec::encode(&sent, "shop").expect("encoded");
    let read = Envelope::<Placed>::decode(&message).expect("decoded");
    assert_eq!((read.data.n, &read.event_id, &*read.source), (7, &sent.event_id, "shop"));
    assert_eq!(read.headers, sent.headers);
    assert!(read.delivery().is_none());

    for (payload, part) in [
        (
            &br#"{"eventId":"e-1","eventType":"orders.order.paid","order":"o","n":1}"#[..],
            "another type: orders.order.paid",
        ),
        (
            &br#"{"eventId":"e-1","eventType":"orders.order.placed","dataVersion":"2.0","order":"o","n":1}"#
                [..],
            "newer than 1",
        ),
        (&br#"{"eventId":"e-1","eventType":"orders.order.placed","order":"o"}"#[..], "missing field"),
        (&b"not json"[..], ""),
    ] {
        let error = Envelope::<Placed>::decode(&Message::new(TOPIC, payload)).expect_err(part);
        assert_eq!(error.kind(), ErrorKind::Undecodable);
        assert!(error.to_string().contains(part), "{error} does not say {part}");
    }
}

#[tokio::test]
async fn a_transaction_keeps_its_rows_and_events_or_none() {
    let log = MemoryLog::new(1);
    let store = MemoryStore::with_log(&log);
    let outbox = Arc::new(Outbox::new(store.clone(), "shop").unwrap());
    let written = Arc::clone(&outbox);
    // As the handler of a web framework does: its future moves between threads.
    let running = tokio::spawn(async move {
        let placed = written.transaction(async |tx: &mut MemoryTx| {
            tx.add("orders", 1);
            Ok(written.add(tx, order(1)).await?)
        });
        placed.await
    });
    running.await.expect("no panic").expect("committed");
    assert_eq!((store.get("orders"), log.len(TOPIC)), (1, 1));

    let refused = outbox.transaction(async |tx: &mut MemoryTx| {
        tx.add("orders", 1);
        outbox.add(tx, order(2)).await?;
        Err::<(), _>(HandlerError::permanent("no credit"))
    });
    assert_eq!(refused.await.expect_err("it failed").to_string(), "no credit");
    let unreadable = outbox.transaction(async |tx| {
        tx.add("orders", "one".parse()?);
        Ok(outbox.add(tx, order(2)).await?)
    });
    let unreadable = unreadable.await.expect_err("it failed");
    assert!(unreadable.cause::<std::num::ParseIntError>().is_some(), "{unreadable:?}");
    assert_eq!(unreadable.kind(), ErrorKind::Other);
    store.fail_next(Failpoint::OutboxWrite, ErrorKind::Unavailable);
    let out =
        outbox.transaction(async |tx| Ok(outbox.add(tx, order(2)).await?)).await.expect_err("it failed");
    assert_eq!(out.kind(), ErrorKind::Unavailable, "an error of the store keeps its kind");
    assert_eq!((store.get("orders"), log.len(TOPIC)), (1, 1), "nothing of it remains");
}
