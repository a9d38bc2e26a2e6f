//! Consumers of topics whose records are framed.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{BufMut, BytesMut};
use messagekit::adapter::{FailureKind, Publisher};
use messagekit::operations::{FailedMessage, FailedMessageFilter, FailedMessages};
use messagekit::{Consumer, Envelope, ErrorKind, HandlerError, Message, Shutdown, Stats, headers};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use messagekit_schema_registry::{AvroSchema, SchemaFormat, SchemaId, SchemaRegistry, Schemas};
use messagekit_testkit::{DEADLINE, eventually};
use serde_json::json;

use crate::events::{ORDER_PLACED, OrderPlaced, document, order};
use crate::slow_registry::SlowRegistry;

/// A topic, a registry with the schema of its records, and a consumer that notes what it handles.
struct World {
    log: MemoryLog,
    store: MemoryStore,
    registry: SlowRegistry,
    id: SchemaId,
    handled: Arc<Mutex<Vec<(String, OrderPlaced)>>>,
}

impl World {
    async fn new() -> Self {
        let registry = SlowRegistry::default();
        let schema = document(SchemaFormat::Avro, ORDER_PLACED);
        let id = registry.register("orders-value", &schema).await.unwrap();
        let (log, store) = (MemoryLog::new(2), MemoryStore::new());
        Self { log, store, registry, id, handled: Arc::default() }
    }

    async fn publish(&self, messages: &[Message]) {
        for published in self.log.publish(messages).await {
            published.unwrap();
        }
    }

    fn start(&self, schemas: &Schemas) -> Shutdown {
        self.start_with_stats(schemas).0
    }

    fn start_with_stats(&self, schemas: &Schemas) -> (Shutdown, Stats) {
        let handled = Arc::clone(&self.handled);
        let shutdown = Shutdown::new();
        let consumer = Consumer::builder("billing", self.store.clone())
            .from(schemas.source(self.log.topics(["orders"])))
            .on_with(handled, record)
            .build()
            .unwrap();
        let stats = consumer.stats();
        tokio::spawn(consumer.run(shutdown.clone()));
        (shutdown, stats)
    }

    fn handled(&self) -> Vec<String> {
        self.handled.lock().unwrap().iter().map(|(id, _)| id.clone()).collect()
    }

    async fn failed_messages(&self) -> Vec<FailedMessage> {
        let mut found = Vec::new();
        for id in self.store.ids(&FailedMessageFilter::default(), 100).await.unwrap() {
            found.push(self.store.show(id).await.unwrap());
        }
        found
    }
}

async fn record(
    handled: &Mutex<Vec<(String, OrderPlaced)>>,
    _: &mut MemoryTx,
    placed: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    handled.lock().unwrap().push((placed.event_id.to_string(), placed.data));
    Ok(())
}

/// Returns an order as a producer with Confluent's serializer writes it, with the id and the type as headers.
fn framed(id: SchemaId, name: &str, data: &[u8]) -> Message {
    let mut payload = BytesMut::new();
    payload.put_u8(0);
    payload.put_u32(id.0);
    payload.put_slice(data);
    Message::new("orders", payload.freeze())
        .with_header(headers::ID, name.to_owned())
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header("tenant", "north")
}

fn avro(name: &str) -> Vec<u8> {
    let schema = AvroSchema::parse(ORDER_PLACED, &[]).unwrap();
    schema.write(&json!({"order_id": name, "pence": 995})).unwrap()
}

fn json(name: &str) -> Message {
    let payload = serde_json::to_vec(&order(name)).unwrap();
    Message { payload: payload.into(), ..framed(SchemaId(0), name, b"") }
}

#[tokio::test]
async fn framed_and_plain_records_of_one_topic_are_handled() {
    let world = World::new().await;
    world.publish(&[framed(world.id, "o-1", &avro("o-1")), json("o-2")]).await;
    let shutdown = world.start(&Schemas::new(world.registry.clone()));
    eventually("both are handled", DEADLINE, async || world.handled().len() == 2).await;
    shutdown.request();
    let mut handled = world.handled.lock().unwrap().clone();
    handled.sort_by(|one, other| one.0.cmp(&other.0));
    assert_eq!(handled, [("o-1".to_owned(), order("o-1")), ("o-2".to_owned(), order("o-2"))]);
    assert_eq!(world.registry.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_outage_of_the_registry_delays_its_lane_and_fails_nothing() {
    for kind in [ErrorKind::Unavailable, ErrorKind::Unauthorized, ErrorKind::InvalidConfiguration] {
        let world = World::new().await;
        world.registry.fail(usize::MAX, kind);
        let waiting: Vec<Message> =
            ["o-1", "o-2"].map(|name| framed(world.id, name, &avro(name)).with_key("a")).into();
        world.publish(&waiting).await;
        world.publish(&[json("o-3").with_key("a")]).await;
        // Keys go to partitions; one of these has another than "a".
        let others: Vec<Message> =
            (0..8).map(|number| json(&format!("other-{number}")).with_key(number.to_string())).collect();
        world.publish(&others).await;
        let shutdown = world.start(&Schemas::new(world.registry.clone()));
        eventually("the registry is asked again and again", DEADLINE, async || world.registry.calls() > 5)
            .await;
        let handled = world.handled();
        assert!(!handled.is_empty(), "the other lane goes on");
        assert!(handled.iter().all(|name| name.starts_with("other-")), "{handled:?}");
        world.registry.fail(0, kind);
        eventually("the lane goes on", DEADLINE, async || world.handled().len() == 11).await;
        shutdown.request();
        let handled = world.handled();
        let of_key: Vec<&String> = handled.iter().filter(|name| name.starts_with("o-")).collect();
        assert_eq!(of_key, ["o-1", "o-2", "o-3"]);
        assert_eq!(world.failed_messages().await.len(), 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_held_lane_is_reported_while_other_lanes_go_on() {
    let world = World::new().await;
    world.registry.fail(usize::MAX, ErrorKind::Unavailable);
    world.publish(&[framed(world.id, "o-1", &avro("o-1")).with_key("a")]).await;
    let (shutdown, stats) = world.start_with_stats(&Schemas::new(world.registry.clone()));
    eventually("the look-up fails", DEADLINE, async || stats.connection().trouble.is_some()).await;
    for number in 0..8 {
        world.publish(&[json(&format!("other-{number}")).with_key(number.to_string())]).await;
        tokio::time::sleep(Duration::from_secs(15)).await;
        let connection = stats.connection();
        let error = connection.trouble.unwrap_or_default();
        assert!(error.starts_with("schema of a message cannot be looked up"), "{error}");
        assert_eq!((connection.lanes, connection.blocked, connection.blocked_lanes.len()), (2, 1, 1));
    }
    assert!(!world.handled().is_empty(), "the other lane goes on");
    world.registry.fail(0, ErrorKind::Unavailable);
    eventually("the lane goes on", DEADLINE, async || world.handled().len() == 9).await;
    shutdown.request();
    let connection = stats.connection();
    assert_eq!((connection.blocked, connection.trouble), (0, None));
}

#[tokio::test]
async fn what_cannot_be_read_is_set_aside_alone_with_its_bytes() {
    let world = World::new().await;
    let protobuf = Schemas::new(world.registry.clone());
    let cut = &avro("o-2")[..3];
    let unknown = SchemaId(77);
    world
        .publish(&[
            framed(world.id, "o-1", &avro("o-1")),
            framed(world.id, "o-2", cut),
            framed(unknown, "o-3", b"data"),
            framed(world.id, "o-4", &avro("o-4")),
        ])
        .await;
    let shutdown = world.start(&protobuf);
    eventually("all are settled", DEADLINE, async || {
        world.handled().len() == 2 && world.failed_messages().await.len() == 2
    })
    .await;
    shutdown.request();
    let mut handled = world.handled();
    handled.sort();
    assert_eq!(handled, ["o-1", "o-4"]);
    let mut failed = world.failed_messages().await;
    failed.sort_by_key(|failed| failed.received.message.payload.clone());
    let errors: Vec<&str> = failed.iter().map(|failed| &*failed.error).collect();
    assert_eq!(
        errors,
        [
            "message cannot be read: field `order_id`: data ends within the value (schema 1)",
            "message cannot be read: registry does not have schema 77, or the payload is not framed",
        ]
    );
    for (failed, sent) in failed.iter().zip([framed(world.id, "o-2", cut), framed(unknown, "o-3", b"data")]) {
        assert_eq!(failed.kind, FailureKind::Unreadable.to_string());
        assert_eq!(failed.received.message.payload, sent.payload);
    }
}

#[tokio::test(start_paused = true)]
async fn a_schema_that_appears_later_is_found_without_a_restart() {
    let world = World::new().await;
    let schemas = Schemas::new(world.registry.clone());
    let second = SchemaId(world.id.0 + 1);
    let read = async |name: &str| schemas.decode(framed(second, name, &avro(name))).await.unwrap();
    assert!(read("o-1").await.headers.get(headers::UNREADABLE).is_some());
    let newer = ORDER_PLACED.replace("OrderPlaced", "Order");
    let registered = world.registry.register("other-value", &document(SchemaFormat::Avro, &newer)).await;
    assert_eq!(registered.unwrap(), second);
    assert!(read("o-2").await.headers.get(headers::UNREADABLE).is_some(), "it was looked up just now");
    tokio::time::advance(Duration::from_secs(31)).await;
    assert_eq!(&read("o-3").await.payload[..], br#"{"order_id":"o-3","pence":995,"note":null}"#);
    // What is not found is asked for twice.
    assert_eq!(world.registry.calls(), 3);
}

#[tokio::test]
async fn a_framed_record_without_a_registry_says_what_lacks() {
    let message = framed(SchemaId(7), "o-1", &avro("o-1"));
    let error = Envelope::<OrderPlaced>::decode(&message).expect_err("is no JSON");
    let text = "payload is framed for a schema registry: read the topic through `Schemas::source` of messagekit-schema-registry";
    assert!(error.to_string().starts_with(text), "{error}");
}
