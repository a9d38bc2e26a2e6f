//! Messages that a client library cannot read, among readable ones.

use std::collections::BTreeSet;
use std::time::Duration;

use messagekit::operations::{FailedMessage, FailedMessageFilter, FailedMessages};
use messagekit::{Consumer, Envelope, HandlerError, OnFailure, Router, Shutdown, headers};
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_rabbitmq::{Queue, RabbitMq, UNREADABLE_PROPERTIES};
use messagekit_testkit::transport::text;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::OrderPlaced;
use messagekit_tests::raw_amqp::{RawProperties, RawPublisher, nested_arrays};

use crate::broker::{declare, depth, holds, join, message, publish, rabbit, raw};
use crate::proxy::Proxy;

/// Longer than a consumer needs for these messages, and far less than a loop of reconnections needs to reach a limit.
const PATIENCE: Duration = Duration::from_secs(60);

async fn on_placed(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    tx.add(&order.data.order_id, 1);
    Ok(())
}

fn payload(id: &str) -> Vec<u8> {
    let text = format!(r#"{{"eventId":"{id}","eventType":"orders.order.placed","order_id":"{id}"}}"#);
    text.into_bytes()
}

fn good(id: &str) -> RawProperties {
    RawProperties::default().message_id(id.as_bytes()).kind(b"orders.order.placed")
}

/// Returns every kind of properties that makes the client library close the connection, or crash its process.
pub(crate) fn hostile(id: &str) -> Vec<(&'static str, Vec<u8>)> {
    let text = [&b"S\0\0\0\x01"[..], b"x"].concat();
    let mut table = Vec::new();
    for outer in (0..3_000_u32).rev() {
        table.extend([1, b'n', b'F']);
        table.extend((outer * 7).to_be_bytes());
    }
    vec![
        ("name of a header", good(id).header(b"caf\xe9", &text).to_bytes()),
        ("app_id", good(id).app_id(b"caf\xe9").to_bytes()),
        ("message_id", good(id).message_id(b"caf\xe9").to_bytes()),
        ("deep", good(id).header(b"deep", &nested_arrays(1_000)).to_bytes()),
        ("deep", good(id).header(b"deep", &nested_arrays(2_000)).to_bytes()),
        ("deep", good(id).header(b"deep", &nested_arrays(20_000)).to_bytes()),
        (
            "deep",
            good(id).header(b"deep", &[b"F", &(21_000_u32).to_be_bytes()[..], &table].concat()).to_bytes(),
        ),
    ]
}

/// Reads one queue until 40 good messages are applied and one is set aside. Returns the failed message.
async fn consume(rabbit: &RabbitMq, queue: &str, dead: &str) -> FailedMessage {
    let store = MemoryStore::new();
    let consumer = Consumer::builder("hostile", store.clone())
        .from(rabbit.queue(queue))
        .router(Router::new().on(on_placed));
    let consumer = consumer.on_failure(OnFailure::DeadLetter).build().unwrap();
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    let applied = || (0..40).filter(|number| store.get(&format!("good-{number}")) > 0).count();
    eventually("the neighbours are applied and the bad one is set aside", PATIENCE, async || {
        applied() == 40 && store.list(&FailedMessageFilter::default(), 10).await.unwrap().len() == 1
    })
    .await;
    shutdown.request();
    running.await.unwrap().unwrap();
    for number in 0..40 {
        assert_eq!(store.get(&format!("good-{number}")), 1, "good-{number} was applied once");
    }
    assert_eq!((depth(queue).await, depth(dead).await), (0, 0), "nothing was delivered too often");
    assert_eq!(stats.read().duplicates, 0, "nothing was delivered twice");
    let failed_message = store.list(&FailedMessageFilter::default(), 10).await.unwrap()[0].id;
    store.show(failed_message).await.unwrap()
}

/// Publishes a message with these properties between 40 good ones and reads them all. Returns the failed message.
pub(crate) async fn between_good_ones(rabbit: &RabbitMq, properties: &[u8]) -> FailedMessage {
    let (queue, dead) = (unique("queue"), unique("dead"));
    declare(Queue::dead_letters(&dead)).await;
    // The third delivery moves a message to the other queue.
    declare(Queue::quorum(&queue).delivery_limit(1).dead_letter("", &dead)).await;
    let mut raw = RawPublisher::connect().await;
    for number in 0..40 {
        if number == 20 {
            raw.publish(b"", queue.as_bytes(), properties, &payload("bad")).await;
        }
        let id = format!("good-{number}");
        raw.publish(b"", queue.as_bytes(), &good(&id).to_bytes(), &payload(&id)).await;
    }
    consume(rabbit, &queue, &dead).await
}

#[test]
fn an_unreadable_message_fails_whole_and_its_neighbours_apply() {
    block_on(async {
        for (what, properties) in hostile("bad") {
            let failed_message = between_good_ones(&rabbit().allow_lossy_queues(), &properties).await;
            assert_eq!(&*failed_message.kind, "unreadable", "{what}: {}", failed_message.error);
            assert!(failed_message.error.contains(what), "{what}: {}", failed_message.error);
            let message = &failed_message.received.message;
            assert_eq!(message.payload, payload("bad"), "{what}");
            let raw = message.headers.get(UNREADABLE_PROPERTIES).unwrap();
            assert_eq!(raw[..], properties[..properties.len().min(16 * 1024)], "{what}");
        }
    });
}

#[test]
fn a_message_whose_routing_key_is_not_text_is_read_as_any_other() {
    block_on(async {
        let (exchange, queue) = (unique("exchange"), unique("queue"));
        let topology = rabbit().topology().fanout(&exchange).queue(Queue::dead_letters(&queue));
        topology.bind(&queue, &exchange, "").declare().await.unwrap();
        let mut raw = RawPublisher::connect().await;
        raw.publish(exchange.as_bytes(), b"caf\xe9", &good("m-1").to_bytes(), b"{}").await;
        let mut receiver = join(&rabbit(), &queue.into()).await;
        let received = receiver.take(1).await;
        assert_eq!(received[0].message.headers.text(headers::ID), Some("m-1"));
    });
}

/// Whatever ended the connection, the frames of this one are valid.
#[test]
fn message_that_breaks_connections_takes_no_neighbour_with_it() {
    block_on(async {
        let (queue, dead) = (unique("queue"), unique("dead"));
        declare(Queue::dead_letters(&dead)).await;
        declare(Queue::quorum(&queue).delivery_limit(6).dead_letter("", &dead)).await;
        let good = |number: usize| message(&queue, None, &format!("good-{number}"));
        let mut batch: Vec<_> = (0..40).map(good).collect();
        batch.insert(20, message(&queue, None, "connections end here"));
        publish(&batch).await;
        let proxy = Proxy::that_breaks_at(b"connections end here").await;
        let mut receiver =
            join(&proxy.rabbit().allow_lossy_queues().prefetch(100), &queue.as_str().into()).await;
        let mut seen = BTreeSet::new();
        while seen.len() < 40 {
            let delivery = receiver.message_within(PATIENCE).await.expect("the next good one comes");
            seen.insert(text(&delivery));
            receiver.settle_receipts(vec![delivery.receipt]);
        }
        // Good ones that were on a broken connection come again, and the broker may write a dead letter twice.
        eventually("the message that ends connections is dead", DEADLINE, async || {
            while let Ok(delivery) = receiver.message_within(Duration::from_millis(50)).await {
                receiver.settle_receipts(vec![delivery.receipt]);
            }
            depth(&dead).await >= 1
        })
        .await;
        receiver.close().await.unwrap();
        holds(&queue, 0).await;
        for _ in 0..depth(&dead).await {
            let dead = raw(&dead).await.delivery;
            assert_eq!(String::from_utf8_lossy(&dead.data), "connections end here");
        }
        assert!((7..20).contains(&proxy.opened()), "{} connections", proxy.opened());
    });
}
