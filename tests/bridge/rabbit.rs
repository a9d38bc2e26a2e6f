//! RabbitMQ as seen by an administrator and a reader.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::message::Delivery;
use lapin::options::{
    BasicConsumeOptions, ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use messagekit_tests::services;

pub(crate) struct Rabbit {
    _connection: Connection,
    channel: Channel,
}

impl Rabbit {
    pub(crate) async fn connect() -> Self {
        let connection =
            Connection::connect(&services::amqp_url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        Self { _connection: connection, channel }
    }

    pub(crate) async fn exchange(&self, name: &str) {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let table = FieldTable::default();
        self.channel.exchange_declare(name.into(), ExchangeKind::Topic, options, table).await.unwrap();
    }

    pub(crate) async fn delete_exchange(&self, name: &str) {
        self.channel.exchange_delete(name.into(), ExchangeDeleteOptions::default()).await.unwrap();
    }

    /// Declares a durable quorum queue with arguments and binds it.
    pub(crate) async fn queue(
        &self,
        name: &str,
        exchange: &str,
        binding: &str,
        settings: &[(&str, AMQPValue)],
    ) {
        let mut table = FieldTable::default();
        table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        for (key, value) in settings {
            table.insert((*key).into(), value.clone());
        }
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(name.into(), options, table).await.unwrap();
        self.bind(name, exchange, binding).await;
    }

    pub(crate) async fn bind(&self, queue: &str, exchange: &str, binding: &str) {
        let (options, table) = (QueueBindOptions::default(), FieldTable::default());
        self.channel.queue_bind(queue.into(), exchange.into(), binding.into(), options, table).await.unwrap();
    }

    pub(crate) async fn unbind(&self, queue: &str, exchange: &str, binding: &str) {
        let table = FieldTable::default();
        self.channel.queue_unbind(queue.into(), exchange.into(), binding.into(), table).await.unwrap();
    }

    /// Returns the number of ready messages in a queue.
    pub(crate) async fn depth(&self, queue: &str) -> usize {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let found = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
        found.message_count() as usize
    }

    /// Takes every message from a queue until the broker reports it empty twice with no delivery in between.
    pub(crate) async fn drain(&self, queue: &str) -> Vec<Delivery> {
        let options = BasicConsumeOptions { no_ack: true, ..Default::default() };
        let table = FieldTable::default();
        let mut consumer =
            self.channel.basic_consume(queue.into(), "drain".into(), options, table).await.unwrap();
        let mut found = Vec::new();
        let mut quiet = 0;
        while quiet < 2 {
            // The broker sends deliveries before its answer to the count, so they have arrived before it.
            match tokio::time::timeout(Duration::from_secs(1), consumer.next()).await {
                Ok(delivery) => {
                    found.push(delivery.expect("the consumer is open").unwrap());
                    quiet = 0;
                }
                Err(_) if self.depth(queue).await == 0 => quiet += 1,
                Err(_) => quiet = 0,
            }
        }
        self.channel.basic_cancel("drain".into(), Default::default()).await.unwrap();
        // What came between the count and the cancellation is settled already: nobody else gets it.
        while let Some(delivery) = consumer.next().await {
            found.push(delivery.unwrap());
        }
        found
    }
}

/// Returns the `message_id` of a delivery.
pub(crate) fn id_of(delivery: &Delivery) -> String {
    delivery.properties.message_id().as_ref().unwrap().to_string()
}

/// Returns a header as text.
pub(crate) fn header(delivery: &Delivery, name: &str) -> Option<String> {
    let value = delivery.properties.headers().as_ref()?.inner().get(name)?.clone();
    match value {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        AMQPValue::ByteArray(bytes) => Some(String::from_utf8_lossy(bytes.as_slice()).into_owned()),
        other => Some(format!("{other:?}")),
    }
}
