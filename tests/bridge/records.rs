//! Kafka as seen by a producer and a reader.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use messagekit::adapter::Publisher;
use messagekit::{Message, headers};
use messagekit_kafka::Kafka;
use messagekit_testkit::unique;
use messagekit_tests::services;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

const ADMIN: Duration = Duration::from_secs(60);

/// Makes a topic that takes records of up to 2 MiB.
pub(crate) async fn make_topic(name: &str, partitions: i32) {
    messagekit_tests::make_topic(name, partitions, &[("max.message.bytes", "2097152")]).await;
}

/// Publishes messages and requires that each is accepted.
pub(crate) async fn publish(messages: &[Message]) {
    let kafka = Kafka::new(services::kafka()).set("message.max.bytes", "2097152").unwrap();
    let publisher = kafka.publisher().unwrap().without_limits();
    for published in publisher.publish(messages).await {
        published.unwrap();
    }
}

/// Returns the message `key-n` of a topic.
pub(crate) fn order(topic: &str, key: &str, n: usize) -> Message {
    let id = format!("{key}-{n}");
    Message::new(topic, format!("{{\"orderId\": \"{id}\", \"note\": \"{}\"}}", "x".repeat(n % 200)))
        .with_key(key.to_owned())
        .with_header(headers::ID, id)
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
}

/// Returns `of` messages of each of `keys` keys, in turn.
pub(crate) fn orders(topic: &str, keys: usize, of: usize) -> Vec<Message> {
    (0..of).flat_map(|n| (0..keys).map(move |key| order(topic, &format!("k{key}"), n))).collect()
}

pub(crate) fn ids(messages: &[Message]) -> BTreeSet<String> {
    messages.iter().map(|message| message.headers.text(headers::ID).unwrap().to_owned()).collect()
}

fn outside(group: &str) -> BaseConsumer {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", services::kafka())
        .set("group.id", group)
        .set("enable.auto.commit", "false");
    config.create().unwrap()
}

/// Returns how many records of a topic a group has settled, over all partitions.
pub(crate) async fn settled(group: &str, topic: &str, partitions: i32) -> i64 {
    let (group, topic) = (group.to_owned(), topic.to_owned());
    let look = move || {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition(&topic, partition);
        }
        // A coordinator that has just restarted may refuse to answer at first.
        let end = Instant::now() + ADMIN;
        let found = loop {
            match outside(&group).committed_offsets(list.clone(), ADMIN) {
                Ok(found) => break found,
                Err(error) => assert!(Instant::now() < end, "the group's offsets are not told: {error}"),
            }
            std::thread::sleep(Duration::from_millis(100));
        };
        found
            .elements()
            .iter()
            .map(|element| match element.offset() {
                Offset::Offset(offset) => offset,
                _ => 0,
            })
            .sum()
    };
    tokio::task::spawn_blocking(look).await.unwrap()
}

/// Reads a topic from its beginning until it has seen `count` records.
pub(crate) async fn read(topic: &str, count: usize) -> Vec<Message> {
    let source = Kafka::new(services::kafka()).topics([topic]);
    let subscriber = messagekit::adapter::Source::bind(source, &unique("reader"), &[]).await.unwrap();
    let mut receiver = messagekit_testkit::transport::Receiver::new(subscriber, "reader");
    let mut found = Vec::new();
    while found.len() < count {
        found.push(receiver.message().await.message);
    }
    found
}
