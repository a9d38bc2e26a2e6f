//! Kafka as seen by an administrator and a foreign client.

use std::time::Duration;

use messagekit_testkit::eventually;
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

const ADMIN: Duration = Duration::from_secs(60);

/// Creates a topic with one partition.
pub(crate) async fn make_topic(name: &str) {
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
    let topic = NewTopic::new(name, 1, TopicReplication::Fixed(1));
    let options = AdminOptions::new().operation_timeout(Some(ADMIN));
    eventually("the topic is made", ADMIN, async || {
        let made = admin.create_topics([&topic], &options).await.unwrap_or_default();
        matches!(&*made, [Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists))])
    })
    .await;
}

/// Writes one record as a connector does.
pub(crate) async fn write(topic: &str, headers: Vec<(&'static str, Vec<u8>)>, payload: &'static [u8]) {
    let topic = topic.to_owned();
    tokio::task::spawn_blocking(move || {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
        let headers = headers
            .iter()
            .fold(OwnedHeaders::new(), |all, (key, value)| all.insert(Header { key, value: Some(value) }));
        let record = BaseRecord::<[u8], [u8]>::to(&topic).payload(payload).headers(headers);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        producer.flush(ADMIN).unwrap();
    })
    .await
    .unwrap();
}
