//! The topic with the messages, and the queue where they go.

use std::sync::Arc;

use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{Channel, Connection, ConnectionProperties, ExchangeKind};
use messagekit::{Message, Publisher};
use messagekit_benches::{Outcome, messages};
use messagekit_kafka::Kafka;
use messagekit_rabbitmq::RabbitMq;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;

use crate::Options;

const PARTITIONS: i32 = 6;

pub(crate) struct Place {
    pub(crate) name: String,
    pub(crate) messages: Vec<Message>,
    pub(crate) kafka: Kafka,
    pub(crate) rabbitmq: RabbitMq,
    pub(crate) connection: Connection,
    pub(crate) unconfirmed: usize,
    admin: AdminClient<DefaultClientContext>,
    channel: Channel,
}

impl Place {
    pub(crate) async fn make(options: &Options) -> Outcome<Self> {
        let since = std::time::SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
        let name = format!("bench.bridge.{since}");
        let connection = Connection::connect(&options.rabbitmq, ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        let (durable, table) =
            (ExchangeDeclareOptions { durable: true, ..Default::default() }, FieldTable::default());
        channel.exchange_declare(name.as_str().into(), ExchangeKind::Topic, durable, table).await?;
        let mut table = FieldTable::default();
        table.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
        let durable = QueueDeclareOptions { durable: true, ..Default::default() };
        channel.queue_declare(name.as_str().into(), durable, table).await?;
        let (options_, table) = (QueueBindOptions::default(), FieldTable::default());
        channel.queue_bind(name.as_str().into(), name.as_str().into(), "#".into(), options_, table).await?;

        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &options.kafka).create()?;
        let topics = [name.clone(), format!("{name}.dead")]
            .map(|topic| (topic, PARTITIONS))
            .into_iter()
            .collect::<Vec<_>>();
        let topics: Vec<NewTopic<'_>> = topics
            .iter()
            .map(|(topic, partitions)| NewTopic::new(topic, *partitions, TopicReplication::Fixed(1)))
            .collect();
        admin.create_topics(&topics, &AdminOptions::new()).await?;
        let topic: Arc<str> = name.as_str().into();
        let moved = |message: Message| Message { topic: topic.clone(), ..message };
        let messages: Vec<Message> = messages(options.messages as usize)?.into_iter().map(moved).collect();
        let kafka = Kafka::new(options.kafka.as_str());
        for published in kafka.publisher()?.publish(&messages).await {
            published?;
        }
        let unconfirmed = options.unconfirmed as usize;
        let rabbitmq = RabbitMq::new(&options.rabbitmq)?.window(unconfirmed);
        Ok(Self { name, messages, kafka, rabbitmq, connection, unconfirmed, admin, channel })
    }

    /// Demands that the queue got this many, and empties it.
    pub(crate) async fn take(&self, expected: usize) -> Outcome<()> {
        let purged =
            self.channel.queue_purge(self.name.as_str().into(), QueuePurgeOptions::default()).await?;
        if purged as usize != expected {
            return Err(format!("the queue got {purged} messages instead of {expected}").into());
        }
        Ok(())
    }

    pub(crate) async fn remove(&self) -> Outcome<()> {
        self.channel.queue_delete(self.name.as_str().into(), QueueDeleteOptions::default()).await?;
        self.channel.exchange_delete(self.name.as_str().into(), ExchangeDeleteOptions::default()).await?;
        let topics = [self.name.as_str(), &format!("{}.dead", self.name)];
        self.admin.delete_topics(&topics, &AdminOptions::new()).await?;
        Ok(())
    }
}
