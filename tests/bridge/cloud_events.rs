//! CloudEvents between this project and the SDK for Python: each way starts on one side and ends on the other, over Kafka, the
//! bridge and RabbitMQ.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use messagekit::adapter::Source;
use messagekit::relay::Relay;
use messagekit::{Envelope, Event, Message, Outbox, Shutdown, Store, WireForm};
use messagekit_kafka::Kafka;
use messagekit_rabbitmq::RabbitMq;
use messagekit_sqlite::SqliteStore;
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::{printed, python, services};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::TURNS;
use crate::records;
use crate::stage::Stage;

#[derive(Clone, Debug, PartialEq, Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", topic = "orders", key = "order_id", version = "1.2")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

#[test]
fn an_sdk_reads_what_an_outbox_writes_on_both_brokers() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let queue = stage.bound_queue("sdk").await;
        let mut bridge = stage.start("");
        let sent = publish_from_an_outbox(&stage).await;
        let on_kafka = sdk(&["read-kafka", &services::kafka(), &stage.topic, "2"]).await;
        bridge.ready().await;
        let on_rabbitmq = sdk(&["read-rabbitmq", &services::amqp_url(), &queue, "2"]).await;
        for (found, broker) in [(on_kafka, "kafka"), (on_rabbitmq, "rabbitmq")] {
            assert_eq!(found.len(), 2, "{broker}");
            for (found, envelope) in found.iter().zip(&sent) {
                let mut attributes = found["attributes"].clone();
                // The SDK gives the key of a record as an extension.
                attributes.as_object_mut().unwrap().remove("partitionkey");
                assert_eq!(attributes, attributes_of(envelope), "{broker}");
                assert_eq!(found["data"], json!({"order_id": "o-7", "pence": 995}), "{broker}");
            }
        }
        bridge.process.stop().await;
    });
}

fn attributes_of(envelope: &Envelope<OrderPlaced>) -> Value {
    json!({
        "specversion": "1.0",
        "id": envelope.event_id.as_str(),
        "source": "order-service",
        "type": "orders.order.placed",
        "subject": "o-7",
        "datacontenttype": "application/json",
        "dataschema": "https://schemas.example/order",
        "time": "2026-01-31T23:59:59.500000+00:00",
        "dataversion": "1.2",
        "tenant": "nörd",
        "metadata": r#"{"Channel":"phone"}"#,
    })
}

/// Writes an event in each form to the outbox of a file, and lets a relay publish them.
async fn publish_from_an_outbox(stage: &Stage) -> Vec<Envelope<OrderPlaced>> {
    let folder = tempfile::TempDir::new().unwrap();
    let options = SqliteStore::options().relayed_topics([&*stage.topic]);
    let store = options.open(folder.path().join("shop.db")).await.unwrap();
    let mut sent = Vec::new();
    for form in [WireForm::CloudEventsBinary, WireForm::CloudEventsStructured] {
        let outbox = Outbox::new(store.clone(), "order-service").unwrap();
        let outbox = outbox.topic_prefix(format!("{}.", stage.name)).wire_form(form);
        let mut envelope = Envelope::new(OrderPlaced { order_id: "o-7".to_owned(), pence: 995 });
        envelope.occurred_at = "2026-01-31T23:59:59.5Z".parse().unwrap();
        envelope.metadata.insert("tenant".to_owned(), json!("nörd"));
        envelope.metadata.insert("Channel".to_owned(), json!("phone"));
        envelope.metadata.insert("dataschema".to_owned(), json!("https://schemas.example/order"));
        let mut tx = store.begin().await.unwrap();
        outbox.add(&mut tx, envelope.clone()).await.unwrap();
        outbox.commit(tx).await.unwrap();
        sent.push(envelope);
    }
    let publisher = Arc::new(Kafka::new(services::kafka()).publisher().unwrap());
    let relay = Relay::builder(&*stage.name).reader(Arc::new(store.clone())).to(publisher).build().unwrap();
    let (stats, shutdown) = (relay.stats(), Shutdown::new());
    let running = tokio::spawn(relay.run(shutdown.clone()));
    eventually("the relay publishes", DEADLINE, async || stats.read().published == 2).await;
    shutdown.request();
    running.await.unwrap().unwrap();
    store.close().await.unwrap();
    sent
}

#[test]
fn a_consumer_reads_what_an_sdk_writes_to_both_brokers() {
    let _turn = TURNS.together();
    block_on(async {
        let stage = Stage::new(1).await;
        let queue = stage.bound_queue("ours").await;
        let mut bridge = stage.start("");
        bridge.ready().await;
        sdk(&["write-kafka", &services::kafka(), &stage.topic]).await;
        let on_kafka = records::read(&stage.topic, 2).await;
        let mut on_rabbitmq = take(&queue, 2).await;
        sdk(&["write-rabbitmq", &services::amqp_url(), &stage.exchange]).await;
        on_rabbitmq.extend(take(&queue, 3).await);
        assert_eq!(ids(&on_kafka), ["py-binary", "py-structured"]);
        let ids = ids(&on_rabbitmq);
        assert_eq!(ids, ["py-binary", "py-structured", "amqp-binary", "amqp-structured", "knative-binary"]);
        for message in on_kafka.iter().chain(&on_rabbitmq) {
            let envelope = read(message);
            let id = envelope.event_id.as_str();
            assert_eq!(envelope.source, "/python/till", "{id}");
            assert_eq!(envelope.aggregate_id.as_deref(), Some("o-7"), "{id}");
            assert_eq!(envelope.occurred_at, "2026-01-31T23:59:59.5Z".parse().unwrap(), "{id}");
            assert_eq!(envelope.metadata["tenant"], "nörd", "{id}");
            assert_eq!(envelope.metadata["dataschema"], "https://schemas.example/order", "{id}");
            assert_eq!(envelope.data, OrderPlaced { order_id: "o-7".to_owned(), pence: 995 }, "{id}");
        }
        let extensions = |at: usize| {
            let metadata = read(&on_rabbitmq[at]).meta.metadata;
            (metadata["attempts"].clone(), metadata["urgent"].clone())
        };
        assert_eq!(extensions(2), (json!("3"), json!("true")), "a header is a text");
        assert_eq!(extensions(3), (json!(3), json!(true)));
        bridge.process.stop().await;
    });
}

fn read(message: &Message) -> Envelope<OrderPlaced> {
    Envelope::decode(message).unwrap()
}

fn ids(messages: &[Message]) -> Vec<String> {
    let id = |message| read(message).event_id.as_str().trim_start_matches("/python/till ").to_owned();
    messages.iter().map(id).collect()
}

/// Takes messages from a queue, as a consumer.
async fn take(queue: &str, count: usize) -> Vec<Message> {
    let rabbit = RabbitMq::new(&services::amqp_url()).unwrap().allow_lossy_queues();
    let subscriber = rabbit.queue(queue).bind(&unique("reader"), &[]).await.unwrap();
    let mut receiver = Receiver::new(subscriber, "reader");
    let (messages, receipts) =
        receiver.take(count).await.into_iter().map(|delivery| (delivery.message, delivery.receipt)).unzip();
    receiver.settle_receipts(receipts);
    receiver.close().await.unwrap();
    messages
}

/// Runs the script with the SDK, and returns the events that it prints.
async fn sdk(arguments: &[&str]) -> Vec<Value> {
    let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let call = move || {
        let mut script = Command::new(interpreter());
        script
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/python/cloud_events.py"))
            .args(arguments);
        let printed = printed(&mut script, "the SDK for Python writes and reads");
        printed.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    tokio::task::spawn_blocking(call).await.unwrap()
}

/// Returns the interpreter that has the SDK.
fn interpreter() -> PathBuf {
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("bridge/python/requirements.txt");
    python(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("cloudevents"), &list)
}
