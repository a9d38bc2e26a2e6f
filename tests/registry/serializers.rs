//! Records between this project and Confluent's serializers for Python, each way over Kafka and a registry.

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use messagekit::relay::Relay;
use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store};
use messagekit_kafka::Kafka;
use messagekit_schema_registry::{EventSchema, Schemas, SubjectName};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::{printed, python, services};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::apicurio::Apicurio;

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "shop.order.placed", topic = "orders", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    total: Money,
    placed_at: jiff::Timestamp,
    deliver_on: Option<jiff::civil::Date>,
    till: String,
    picture: String,
    weights: Vec<f64>,
    labels: serde_json::Map<String, Value>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Money {
    amount: String,
    currency: String,
}

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "shop.order.cancelled", topic = "orders", key = "order_id")]
struct OrderCancelled {
    order_id: String,
    reason: String,
}

const ORDER_PLACED: &str = r#"{"type": "record", "name": "OrderPlaced", "namespace": "shop", "fields": [
    {"name": "order_id", "type": "string"},
    {"name": "total", "type": {"type": "record", "name": "Money", "fields": [
        {"name": "amount", "type": {"type": "bytes", "logicalType": "decimal", "precision": 9, "scale": 2}},
        {"name": "currency", "type": {"type": "enum", "name": "Currency", "symbols": ["EUR", "GBP"]}}]}},
    {"name": "placed_at", "type": {"type": "long", "logicalType": "timestamp-micros"}},
    {"name": "deliver_on", "type": ["null", {"type": "int", "logicalType": "date"}], "default": null},
    {"name": "till", "type": {"type": "string", "logicalType": "uuid"}},
    {"name": "picture", "type": "bytes"},
    {"name": "weights", "type": {"type": "array", "items": "double"}},
    {"name": "labels", "type": {"type": "map", "values": ["null", "string", "long"]}}]}"#;

fn order(deliver_on: Option<&str>) -> OrderPlaced {
    let labels = json!({"nörd": "x", "none": null, "count": 7});
    OrderPlaced {
        order_id: "o-7".to_owned(),
        total: Money { amount: "-12.50".to_owned(), currency: "GBP".to_owned() },
        placed_at: "2026-01-31T23:59:59.5Z".parse().unwrap(),
        deliver_on: deliver_on.map(|day| day.parse().unwrap()),
        till: "00000000-0000-0000-0000-000000000007".to_owned(),
        picture: "AP8=".to_owned(),
        weights: vec![0.5, -1.25],
        labels: labels.as_object().unwrap().clone(),
    }
}

fn cancelled() -> OrderCancelled {
    OrderCancelled { order_id: "o-7".to_owned(), reason: "late".to_owned() }
}

/// Runs the script with the serializers, and returns the objects that it prints.
async fn script(arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let call = move || {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("registry/python");
        let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("serializers");
        let interpreter = python(&environment, &folder.join("requirements.txt"));
        let mut script = Command::new(interpreter);
        let printed =
            printed(script.arg(folder.join("serializers.py")).args(arguments), "the script ends well");
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

#[test]
fn records_pass_between_confluent_s_serializers_and_a_service() {
    block_on(async {
        let apicurio = Apicurio::start().await;
        let (brokers, topic) = (services::kafka(), format!("{}.orders", unique("theirs")));
        script(&["topic", &brokers, &topic]).await;
        script(&["write", &brokers, &apicurio.address(), &topic]).await;
        a_consumer_reads_what_they_write(&apicurio, &topic).await;

        let prefix = format!("{}.", unique("ours"));
        let topic = format!("{prefix}orders");
        script(&["topic", &brokers, &topic]).await;
        let sent = publish_from_an_outbox(&apicurio, &prefix).await;
        let found = script(&["read", &brokers, &apicurio.address(), &topic, "2"]).await;
        they_have_read(&found, &sent);
    });
}

type Handled = Arc<Mutex<Vec<(String, Result<OrderPlaced, OrderCancelled>)>>>;

async fn place(
    handled: &Mutex<Vec<(String, Result<OrderPlaced, OrderCancelled>)>>,
    _: &mut SqliteTx,
    event: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    handled.lock().unwrap().push((event.event_id.to_string(), Ok(event.data)));
    Ok(())
}

async fn cancel(
    handled: &Mutex<Vec<(String, Result<OrderPlaced, OrderCancelled>)>>,
    _: &mut SqliteTx,
    event: Envelope<OrderCancelled>,
) -> Result<(), HandlerError> {
    handled.lock().unwrap().push((event.event_id.to_string(), Err(event.data)));
    Ok(())
}

async fn a_consumer_reads_what_they_write(apicurio: &Apicurio, topic: &str) {
    let folder = TempDir::new().unwrap();
    let store = SqliteStore::open(folder.path().join("billing.db")).await.unwrap();
    let handled = Handled::default();
    let schemas = Schemas::new(apicurio.registry());
    let consumer = Consumer::builder(unique("billing"), store)
        .from(schemas.source(Kafka::new(services::kafka()).topics([topic])))
        .on_with(Arc::clone(&handled), place)
        .on_with(Arc::clone(&handled), cancel)
        .build()
        .unwrap();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    eventually("three events are handled", DEADLINE, async || handled.lock().unwrap().len() == 3).await;
    shutdown.request();
    running.await.unwrap().unwrap();
    let expected = [
        ("/python/till 1".to_owned(), Ok(order(Some("2026-02-01")))),
        ("/python/till 2".to_owned(), Ok(order(None))),
        ("/python/till 3".to_owned(), Err(cancelled())),
    ];
    assert_eq!(*handled.lock().unwrap(), expected);
}

/// Writes an order and its cancellation to the outbox of a file, and lets a relay publish them.
async fn publish_from_an_outbox(apicurio: &Apicurio, prefix: &str) -> Vec<String> {
    let folder = TempDir::new().unwrap();
    let topic = format!("{prefix}orders");
    let options = SqliteStore::options().relayed_topics([&*topic]);
    let store = options.open(folder.path().join("shop.db")).await.unwrap();
    let outbox = Outbox::new(store.clone(), "order-service").unwrap().topic_prefix(prefix);
    let (placed, cancelled) = (Envelope::new(order(Some("2026-02-01"))), Envelope::new(cancelled()));
    let ids = vec![placed.event_id.to_string(), cancelled.event_id.to_string()];
    let mut tx = store.begin().await.unwrap();
    outbox.add(&mut tx, placed).await.unwrap();
    outbox.add(&mut tx, cancelled).await.unwrap();
    outbox.commit(tx).await.unwrap();

    let schema = json!({"title": "OrderCancelled", "type": "object", "properties": {
        "order_id": {"type": "string"}, "reason": {"type": "string"}}});
    let of_topic = |schema: EventSchema| schema.topic(&*topic);
    let schemas = [
        of_topic(EventSchema::avro::<OrderPlaced>(ORDER_PLACED).unwrap()).subject_name(SubjectName::Topic),
        of_topic(EventSchema::json::<OrderCancelled>(&schema.to_string()).unwrap()),
    ];
    let kafka = Kafka::new(services::kafka()).publisher().unwrap();
    let publisher = Schemas::new(apicurio.registry()).publisher(kafka, schemas).await.unwrap();
    let relay =
        Relay::builder("shop").reader(Arc::new(store.clone())).to(Arc::new(publisher)).build().unwrap();
    let (stats, shutdown) = (relay.stats(), Shutdown::new());
    let running = tokio::spawn(relay.run(shutdown.clone()));
    eventually("the relay publishes", DEADLINE, async || stats.read().published == 2).await;
    shutdown.request();
    running.await.unwrap().unwrap();
    store.close().await.unwrap();
    ids
}

fn they_have_read(found: &[Value], ids: &[String]) {
    for (found, id) in found.iter().zip(ids) {
        assert_eq!(found["key"], "o-7");
        assert_eq!(
            (&found["headers"]["ce_id"], &found["headers"]["ce_source"]),
            (&json!(id), &json!("order-service"))
        );
    }
    let placed = json!({
        "order_id": "o-7",
        "total": {"amount": "-12.50", "currency": "GBP"},
        "placed_at": "2026-01-31 23:59:59.500000+00:00",
        "deliver_on": "2026-02-01",
        "till": "00000000-0000-0000-0000-000000000007",
        "picture": "AP8=",
        "weights": [0.5, -1.25],
        "labels": {"nörd": "x", "none": null, "count": 7},
    });
    assert_eq!(found[0]["value"], placed);
    assert_eq!(found[1]["value"], json!({"order_id": "o-7", "reason": "late"}));
}
