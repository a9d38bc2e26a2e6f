//! A registry that is killed and frozen while a consumer reads.

use std::sync::{Arc, Mutex};
use std::time::Instant;

use messagekit::adapter::Publisher;
use messagekit::operations::{FailedMessageFilter, FailedMessages};
use messagekit::{Consumer, Envelope, Event, HandlerError, Message, Shutdown, headers};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use messagekit_schema_registry::{
    AvroSchema, ConfluentRegistry, SchemaDocument, SchemaFormat, SchemaId, SchemaRegistry, Schemas,
};
use messagekit_testkit::{DEADLINE, block_on, eventually};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::apicurio::Apicurio;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", topic = "orders", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

/// Registers another record of the same data, and returns its number.
async fn register(registry: &ConfluentRegistry, number: usize) -> (SchemaId, String) {
    let text = format!(
        r#"{{"type": "record", "name": "OrderPlaced{number}", "fields": [{{"name": "order_id", "type": "string"}}]}}"#
    );
    let schema = SchemaDocument { format: SchemaFormat::Avro, text: text.clone(), references: Vec::new() };
    (registry.register(&format!("orders-{number}"), &schema).await.unwrap(), text)
}

fn framed((id, text): &(SchemaId, String), name: &str) -> Message {
    let data = AvroSchema::parse(text, &[]).unwrap().write(&json!({"order_id": name})).unwrap();
    let payload = [&[0], &id.0.to_be_bytes()[..], &data].concat();
    let message = Message::new("orders", payload).with_header(headers::ID, name.to_owned());
    message.with_header(headers::EVENT_TYPE, "orders.order.placed").with_key("one key")
}

async fn note(
    handled: &Mutex<Vec<String>>,
    _: &mut MemoryTx,
    placed: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    handled.lock().unwrap().push(placed.data.order_id);
    Ok(())
}

#[test]
fn a_registry_that_is_killed_or_frozen_loses_and_fails_nothing() {
    block_on(async {
        let mut apicurio = Apicurio::start().await;
        let mut schemas = Vec::new();
        for number in 0..4 {
            schemas.push(register(&apicurio.registry(), number).await);
        }
        let registry = apicurio.impatient();
        let (log, store, handled) =
            (MemoryLog::new(1), MemoryStore::new(), Arc::<Mutex<Vec<String>>>::default());
        let consumer = Consumer::builder("billing", store.clone())
            .from(Schemas::new(registry.clone()).source(log.topics(["orders"])))
            .on_with(Arc::clone(&handled), note)
            .build()
            .unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        let publish = async |number: usize, names: [&str; 2]| {
            let batch = names.map(|name| framed(&schemas[number], name));
            assert!(log.publish(&batch).await.iter().all(Result::is_ok));
        };
        let count = || handled.lock().unwrap().len();
        publish(0, ["1", "2"]).await;
        eventually("the first schema is looked up", DEADLINE, async || count() == 2).await;

        apicurio.kill();
        publish(1, ["3", "4"]).await;
        publish(0, ["5", "6"]).await;
        fails_a_call(&registry).await;
        assert_eq!(count(), 2, "the lane waits, with what it knows behind what it does not");
        let since = Instant::now();
        apicurio.run().await;
        let is_up = since.elapsed();
        eventually("the lane goes on", DEADLINE, async || count() == 6).await;
        println!("next message {:?} after a start of {is_up:?}", since.elapsed());

        apicurio.freeze();
        publish(2, ["7", "8"]).await;
        fails_a_call(&registry).await;
        apicurio.thaw();
        eventually("the lane goes on", DEADLINE, async || count() == 8).await;
        publish(3, ["9", "10"]).await;
        eventually("all are handled", DEADLINE, async || count() == 10).await;
        shutdown.request();
        running.await.unwrap().unwrap();

        let expected: Vec<String> = (1..=10).map(|number: u32| number.to_string()).collect();
        assert_eq!(*handled.lock().unwrap(), expected, "in order, each once");
        assert_eq!(stats.read().duplicates, 0);
        let failed = store.ids(&FailedMessageFilter::default(), 10).await.unwrap();
        assert_eq!(failed.len(), 0);
    });
}

/// Waits until a call of the registry has failed: the consumer's has then, too.
async fn fails_a_call(registry: &ConfluentRegistry) {
    eventually("the registry does not answer", DEADLINE, async || {
        registry.schema(SchemaId(4_000_000)).await.is_err_and(|error| error.is_transient())
    })
    .await;
}
