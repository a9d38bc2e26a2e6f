//! RabbitMQ as seen by an administrator and a foreign client.

use lapin::message::BasicGetMessage;
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, BasicRejectOptions, ConfirmSelectOptions, ExchangeDeclareOptions,
    QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, ExchangeKind};
use messagekit_testkit::{DEADLINE, eventually};
use messagekit_tests::services;

pub(crate) struct Rabbit {
    _connection: Connection,
    channel: Channel,
}

/// Returns the properties of a foreign client: an id and a header of its own.
pub(crate) fn order(id: &str) -> BasicProperties {
    let mut headers = FieldTable::default();
    headers.insert("x-k-tenant".into(), AMQPValue::LongString("north".into()));
    BasicProperties::default()
        .with_message_id(id.into())
        .with_type("orders.order.placed".into())
        .with_delivery_mode(2)
        .with_headers(headers)
}

pub(crate) fn text(value: &str) -> AMQPValue {
    AMQPValue::LongString(value.into())
}

impl Rabbit {
    pub(crate) async fn connect() -> Self {
        let connection =
            Connection::connect(&services::amqp_url(), ConnectionProperties::default()).await.unwrap();
        let channel = connection.create_channel().await.unwrap();
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        Self { _connection: connection, channel }
    }

    /// Declares a durable queue with arguments.
    pub(crate) async fn queue(&self, name: &str, settings: &[(&str, AMQPValue)]) {
        let mut table = FieldTable::default();
        for (key, value) in settings {
            table.insert((*key).into(), value.clone());
        }
        let options = QueueDeclareOptions { durable: true, ..Default::default() };
        self.channel.queue_declare(name.into(), options, table).await.unwrap();
    }

    /// Declares a queue whose dead messages go to the queue `dead`.
    pub(crate) async fn queue_into(&self, name: &str, dead: &str, settings: &[(&str, AMQPValue)]) {
        let mut all = vec![("x-dead-letter-exchange", text("")), ("x-dead-letter-routing-key", text(dead))];
        all.extend_from_slice(settings);
        self.queue(name, &all).await;
    }

    pub(crate) async fn delete(&self, queue: &str) {
        self.channel.queue_delete(queue.into(), QueueDeleteOptions::default()).await.unwrap();
    }

    /// Declares an exchange and binds queues to it with one key.
    pub(crate) async fn exchange(&self, name: &str, key: &str, queues: &[&str]) {
        let options = ExchangeDeclareOptions { durable: true, ..Default::default() };
        let kind = ExchangeKind::Topic;
        self.channel.exchange_declare(name.into(), kind, options, FieldTable::default()).await.unwrap();
        for queue in queues {
            let (options, table) = (QueueBindOptions::default(), FieldTable::default());
            self.channel.queue_bind((*queue).into(), name.into(), key.into(), options, table).await.unwrap();
        }
    }

    /// Publishes a message and waits for the confirm.
    pub(crate) async fn publish(
        &self,
        exchange: &str,
        key: &str,
        properties: BasicProperties,
        payload: &[u8],
    ) {
        let options = BasicPublishOptions::default();
        let sent = self.channel.basic_publish(exchange.into(), key.into(), options, payload, properties);
        sent.await.unwrap().await.unwrap();
    }

    /// Takes the next message of a queue, which must arrive.
    pub(crate) async fn next(&self, queue: &str) -> BasicGetMessage {
        let mut found = None;
        eventually("a message stands in the queue", DEADLINE, async || {
            found = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap();
            found.is_some()
        })
        .await;
        found.unwrap()
    }

    /// Rejects the next message of a queue, like a consumer that cannot handle it.
    pub(crate) async fn reject(&self, queue: &str) {
        let options = BasicRejectOptions { requeue: false };
        self.next(queue).await.reject(options).await.unwrap();
    }

    /// Requeues a message until the queue exceeds its limit and the dead-letter queue holds `expected` messages.
    pub(crate) async fn give_back_until_dead(&self, queue: &str, dead: &str, expected: u32) {
        eventually("the queue sets the message aside", DEADLINE, async || {
            let found = self.channel.basic_get(queue.into(), BasicGetOptions::default()).await.unwrap();
            if let Some(found) = found {
                found.reject(BasicRejectOptions { requeue: true }).await.unwrap();
            }
            self.count(dead).await == expected
        })
        .await;
    }

    /// Returns the number of ready messages in a queue.
    pub(crate) async fn count(&self, queue: &str) -> u32 {
        let options = QueueDeclareOptions { passive: true, ..Default::default() };
        let found = self.channel.queue_declare(queue.into(), options, FieldTable::default()).await.unwrap();
        found.message_count()
    }
}

/// Returns a header of a message.
pub(crate) fn header(message: &BasicGetMessage, name: &str) -> Option<String> {
    match message.properties.headers().as_ref()?.inner().get(name)? {
        AMQPValue::LongString(text) => Some(String::from_utf8_lossy(text.as_bytes()).into_owned()),
        other => Some(format!("{other:?}")),
    }
}
