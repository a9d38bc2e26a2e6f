//! The transport suite.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Capabilities, Publisher, Source};
use messagekit_kafka::{Kafka, KafkaSource, KafkaSubscriber};
use messagekit_testkit::transport::TransportFixture;

use crate::broker;
use crate::leave_group::throw_out;

struct KafkaTransport {
    kafka: Kafka,
}

impl KafkaTransport {
    fn new() -> Self {
        Self { kafka: broker::kafka() }
    }
}

impl TransportFixture for KafkaTransport {
    type Source = KafkaSource;

    fn capabilities(&self) -> Capabilities {
        self.kafka.topics(["any"]).capabilities()
    }

    async fn topic(&self) -> Arc<str> {
        broker::topic(4, &[]).await
    }

    fn source(&self, topics: &[Arc<str>]) -> KafkaSource {
        self.kafka.topics(topics.iter().cloned())
    }

    fn publisher(&self) -> Box<dyn Publisher> {
        Box::new(self.kafka.publisher().unwrap())
    }

    fn in_flight(&self) -> usize {
        KafkaSubscriber::IN_FLIGHT
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(500)
    }

    fn can_lose(&self) -> bool {
        true
    }

    async fn lose(&self, consumer: &str) {
        let consumer = consumer.to_owned();
        broker::blocking(move || throw_out(&consumer)).await;
    }
}

mod transport {
    messagekit_testkit::transport_cases!(super::KafkaTransport::new());
}
