//! RabbitMQ seen from outside: wiped between tests, and tapped by a queue that gets every message.

use futures_util::StreamExt;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions,
    QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind, Queue};
use messagekit_shipping::{EXCHANGE, FAILED_MESSAGES, QUEUE};
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::services;

/// The queue that gets a copy of every message to the exchange.
const TAP: &str = "tap";

/// A message as it was delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Tapped {
    pub(crate) id: String,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
}

async fn channel() -> Option<(Connection, Channel)> {
    let connection =
        Connection::connect(&services::amqp_url(), ConnectionProperties::default()).await.ok()?;
    let channel = connection.create_channel().await.ok()?;
    Some((connection, channel))
}

/// Deletes queues and exchange with all messages, and creates the exchange again with the tap.
pub(crate) async fn wipe() {
    let (_connection, channel) = channel().await.expect("the broker answers");
    for queue in [QUEUE, FAILED_MESSAGES, TAP] {
        channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.expect("it can be deleted");
    }
    let exchange = ExchangeDeleteOptions::default();
    channel.exchange_delete(EXCHANGE.into(), exchange).await.expect("it can be deleted");
    let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
    let none = FieldTable::default();
    let topic = ExchangeKind::Topic;
    channel.exchange_declare(EXCHANGE.into(), topic, durable, none.clone()).await.expect("it can be made");
    let mut quorum = FieldTable::default();
    quorum.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(TAP.into(), durable, quorum).await.expect("it can be made");
    let bind = QueueBindOptions::default();
    channel.queue_bind(TAP.into(), EXCHANGE.into(), "#".into(), bind, none).await.expect("it can be bound");
}

/// Returns the number of ready messages in a queue, or `None` when the broker does not answer.
pub(crate) async fn waiting(queue: &str) -> Option<u32> {
    Some(look(queue).await?.message_count())
}

/// Returns the number of consumers of a queue, or `None` when the broker does not answer.
pub(crate) async fn readers(queue: &str) -> Option<u32> {
    Some(look(queue).await?.consumer_count())
}

async fn look(queue: &str) -> Option<Queue> {
    let (_connection, channel) = channel().await?;
    let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    channel.queue_declare(queue.into(), look, FieldTable::default()).await.ok()
}

/// Returns the number of messages that were tapped so far.
pub(crate) async fn tapped_so_far() -> u32 {
    let mut found = None;
    eventually("the tap can be looked at", DEADLINE, async || {
        found = waiting(TAP).await;
        found.is_some()
    })
    .await;
    found.unwrap_or_default()
}

/// Takes every tapped message, in order.
pub(crate) async fn tapped() -> Vec<Tapped> {
    let expected = tapped_so_far().await as usize;
    let (_connection, channel) = channel().await.expect("the broker answers");
    let at_once = BasicConsumeOptions { no_ack: true, ..BasicConsumeOptions::default() };
    let reader = channel.basic_consume(TAP.into(), "tap".into(), at_once, FieldTable::default()).await;
    let mut reader = reader.expect("the tap can be read");
    let mut found = Vec::with_capacity(expected);
    while found.len() < expected {
        let next = tokio::time::timeout(DEADLINE, reader.next()).await;
        let delivery = next.expect("what waits comes").expect("the reader stays").expect("a delivery");
        let headers = delivery.properties.headers().as_ref();
        let key = headers.and_then(|headers| match headers.inner().get(messagekit_rabbitmq::KEY)? {
            AMQPValue::LongString(key) => Some(key.as_bytes().to_vec()),
            AMQPValue::ByteArray(key) => Some(key.as_slice().to_vec()),
            other => panic!("a key of another kind: {other:?}"),
        });
        let id = delivery.properties.message_id().as_ref().expect("the bridge copies the id").to_string();
        found.push(Tapped { id, key, payload: delivery.data });
    }
    found
}
