//! The broker under test: settings with short intervals, topics, and operations of an administrator.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::Publisher;
use messagekit::{Event, Message};
use messagekit_kafka::{Kafka, KafkaSubscriber};
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::unique;
use messagekit_tests::{make_topic, services};
use rdkafka::admin::AdminClient;
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

/// The time limit of an administrator's request.
pub(crate) const ADMIN: Duration = Duration::from_secs(60);

/// Returns settings with short intervals, except for the session: a machine that stalls for a while keeps its lanes.
pub(crate) fn kafka() -> Kafka {
    let settings =
        [("session.timeout.ms", "30000"), ("heartbeat.interval.ms", "100"), ("fetch.wait.max.ms", "50")];
    settings
        .into_iter()
        .fold(Kafka::new(services::kafka()), |kafka, (key, value)| kafka.set(key, value).unwrap())
}

pub(crate) fn admin() -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap()
}

/// Creates a topic with settings and waits until the broker has it.
pub(crate) async fn topic(partitions: i32, settings: &[(&str, &str)]) -> Arc<str> {
    let name = unique("topic");
    make_topic(&name, partitions, settings).await;
    name.into()
}

/// Makes a topic of the events of a type, in an environment of its own.
pub(crate) async fn topic_of<E: Event>(partitions: i32) -> Arc<str> {
    let name = format!("{}.{}", unique("test"), E::TOPIC);
    make_topic(&name, partitions, &[]).await;
    name.into()
}

/// Publishes messages one by one under one key and requires that each is accepted.
pub(crate) async fn publish(topic: &Arc<str>, texts: impl IntoIterator<Item = String>) {
    let batch: Vec<Message> =
        texts.into_iter().map(|text| Message::new(topic.clone(), text).with_key("k")).collect();
    for result in kafka().publisher().unwrap().publish(&batch).await {
        result.unwrap();
    }
}

/// Joins a consumer.
pub(crate) async fn join(kafka: &Kafka, topic: &Arc<str>, consumer: &str) -> Receiver<KafkaSubscriber> {
    let subscriber =
        messagekit::adapter::Source::bind(kafka.topics([topic.clone()]), consumer, &[]).await.unwrap();
    Receiver::new(subscriber, consumer)
}

/// Returns settings in which a handler may take no longer than [`POLL`]; a session cannot be longer.
pub(crate) fn impatient() -> Kafka {
    let millis = POLL.as_millis().to_string();
    let kafka = kafka().set("session.timeout.ms", &millis).unwrap();
    kafka.set("max.poll.interval.ms", &millis).unwrap()
}

/// The interval of [`impatient`].
pub(crate) const POLL: Duration = Duration::from_secs(15);

/// Returns a client that is no member of the group, to observe it from outside.
pub(crate) fn outside(group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", services::kafka())
        .set("group.id", group)
        .set("enable.auto.commit", "false");
    config.create().unwrap()
}

/// Returns the committed offset of a partition.
pub(crate) async fn committed(group: &str, topic: &str, partition: i32) -> Option<i64> {
    let (group, topic) = (group.to_owned(), topic.to_owned());
    blocking(move || {
        let mut partitions = TopicPartitionList::new();
        partitions.add_partition(&topic, partition);
        let found = outside(&group).committed_offsets(partitions, ADMIN).unwrap();
        match found.elements()[0].offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    })
    .await
}

/// Runs blocking work in a thread beside the tasks.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}
