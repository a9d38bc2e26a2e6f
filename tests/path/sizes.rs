//! The largest event, through every hop, and one byte more.

use std::fs;

use bytes::Bytes;
use messagekit::adapter::{MAX_PAYLOAD_BYTES, OutboxRows};
use messagekit::{ErrorKind, Message, Store, headers};
use messagekit_postgres::PostgresStore;
use messagekit_rabbitmq::{MAX_HEADER_BYTES, Queue, RabbitMq};
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::{Database, services};
use tempfile::TempDir;

use crate::broker::{self, Raw};
use crate::cdc::{Connector, messagekit, said};
use crate::process::launch;
use crate::turn;

/// The bytes that an outbox of PostgreSQL accepts beside the payload. The rest of 100,000 is for names, id and time.
const BESIDE: usize = 99_500;

/// Returns bytes that compression does not shrink.
fn noise(bytes: usize) -> Vec<u8> {
    let mut dice = fastrand::Rng::with_seed(bytes as u64);
    std::iter::repeat_with(|| dice.u8(..)).take(bytes).collect()
}

fn failed_messages(bytes: usize) -> String {
    let mut dice = fastrand::Rng::with_seed(bytes as u64);
    std::iter::repeat_with(|| dice.alphanumeric()).take(bytes).collect()
}

/// Returns an event with a key and a payload of these sizes.
fn event(topic: &str, id: &'static str, key: usize, payload: usize) -> Message {
    Message::new(topic, noise(payload)).with_key(failed_messages(key)).with_header(headers::ID, id)
}

async fn write(store: &PostgresStore, event: &Message) -> Result<(), ErrorKind> {
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, std::slice::from_ref(event)).await.map_err(|error| error.kind())?;
    store.commit(tx).await.unwrap();
    Ok(())
}

/// The write of one byte more is refused, with the library or without, and its transaction keeps nothing.
async fn one_byte_more_is_refused(store: &PostgresStore, topic: &str) {
    for over in [event(topic, "over", 1, MAX_PAYLOAD_BYTES + 1), event(topic, "over", BESIDE + 1, 1)] {
        assert_eq!(write(store, &over).await, Err(ErrorKind::TooLarge));
        let insert = "INSERT INTO messagekit.outbox_events (event_id, topic, aggregate_id, payload) VALUES ('over', $1, $2, $3)";
        let key = std::str::from_utf8(over.key.as_deref().unwrap()).unwrap();
        let insert = sqlx::query(insert).bind(topic).bind(key).bind(&over.payload[..]);
        let refused = insert.execute(store.pool()).await.unwrap_err();
        assert_eq!(refused.as_database_error().unwrap().code().as_deref(), Some("23514"), "{refused}");
    }
}

/// Waits until a topic with one partition holds `count` records.
async fn records(topic: &str, count: i64) -> Vec<Raw> {
    eventually("the records have arrived", 2 * DEADLINE, async || {
        broker::ends(topic).is_some_and(|ends| ends.iter().sum::<i64>() >= count)
    })
    .await;
    broker::read(topic)
}

fn has(records: &[Raw], events: &[Message]) {
    for event in events {
        let id = event.headers.text(headers::ID).unwrap();
        let record =
            records.iter().find(|record| record.id() == id).unwrap_or_else(|| panic!("{id} is not there"));
        assert_eq!(record.key.as_deref(), event.key.as_deref(), "{id}");
        assert!(record.payload == event.payload, "{id} has other bytes");
    }
}

#[test]
fn the_largest_event_passes_debezium_and_one_byte_more_fails() {
    let _turn = turn::together();
    block_on(async {
        let (database, topic) = (Database::fresh().await, unique("sizes"));
        broker::make(&[(&topic, 1)]).await;
        let connector = Connector::apply(&database);
        let store = database.store().await;
        one_byte_more_is_refused(&store, &topic).await;
        let largest = event(&topic, "largest", BESIDE, MAX_PAYLOAD_BYTES);
        write(&store, &largest).await.unwrap();
        let found = records(&topic, 1).await;
        assert_eq!(found.len(), 1);
        has(&found, &[largest]);
        connector.delete_with_slot();
    });
}

/// RabbitMQ accepts less beside the payload than Kafka does: a larger event becomes a failed message with this reason.
#[test]
fn largest_event_arrives_and_one_byte_more_is_refused_on_write() {
    let _turn = turn::together();
    block_on(async {
        let (database, topic) = (Database::fresh().await, unique("sizes"));
        let (name, exchange, queue) = (unique("sizes"), unique("sizes"), unique("sizes"));
        let dead = format!("{name}.dead");
        broker::make(&[(&topic, 1), (&dead, 1), (&format!("{name}.retry"), 1)]).await;
        let migrated = messagekit(&["migrate", "--relay", "--database", database.url()]);
        assert!(migrated.status.success(), "{}", said(&migrated));
        let store = database.store().await;
        one_byte_more_is_refused(&store, &topic).await;
        // The header also contains its name, the record's position and the name of the topic.
        let (fits, over) = (MAX_HEADER_BYTES - 600, MAX_HEADER_BYTES + 1);
        let events = [
            event(&topic, "first", 1, 1),
            event(&topic, "largest", fits, MAX_PAYLOAD_BYTES),
            event(&topic, "failed_message", over, MAX_PAYLOAD_BYTES),
            event(&topic, "last", BESIDE, MAX_PAYLOAD_BYTES),
        ];
        for event in &events {
            write(&store, event).await.unwrap();
        }
        let kafka = services::kafka();
        let place = ["relay", "--database", database.url(), "--kafka", &kafka, "--listen", "127.0.0.1:0"];
        let mut relay = launch("messagekit", &place).start();
        has(&records(&topic, 4).await, &events);
        relay.stop().await;

        let amqp = services::amqp_url();
        let rabbitmq = RabbitMq::new(&amqp).unwrap();
        let topology = rabbitmq.topology().exchange(&exchange).queue(Queue::dead_letters(&queue));
        topology.bind(&queue, &exchange, "#").declare().await.unwrap();
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("bridge.toml");
        let settings = format!(
            "[bridge]\nname = \"{name}\"\nlisten = \"127.0.0.1:0\"\n[kafka]\nbrokers = [\"{kafka}\"]\n[rabbitmq]\nurl = \"{amqp}\"\n\
             [[rule]]\ntopics = [\"{topic}\"]\nexchange = \"{exchange}\"\nrouting_key = \"all\"\n"
        );
        fs::write(&file, settings).unwrap();
        let mut bridge = launch("messagekit-bridge", &["--config", file.to_str().unwrap()]).start();
        has(&records(&dead, 2).await, &events[2..]);
        for failed_message in broker::read(&dead) {
            assert_eq!(failed_message.header(headers::DEAD_KIND), Some("too_large"));
        }
        let consumer = unique("sizes");
        let source = rabbitmq.queue(queue.as_str());
        let mut receiver = Receiver::new(
            messagekit::adapter::Source::bind(source, &consumer, &[]).await.unwrap(),
            &consumer,
        );
        let mut found: Vec<Message> = Vec::new();
        while found.len() < 2 {
            let message = receiver.message().await.message;
            // The bridge may have published one again.
            if found.iter().all(|one| one.headers.text(headers::ID) != message.headers.text(headers::ID)) {
                found.push(message);
            }
        }
        for (found, sent) in found.iter().zip(&events[..2]) {
            assert_eq!(found.headers.text(headers::ID), sent.headers.text(headers::ID));
            assert_eq!(found.key, sent.key.as_deref().map(Bytes::copy_from_slice));
            assert!(found.payload == sent.payload);
        }
        bridge.stop().await;
    });
}
