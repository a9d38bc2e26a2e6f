//! The conformance suite for transports.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Capabilities, Publisher, Source};
use messagekit_kafka::{Kafka, KafkaSource, KafkaSubscriber};
use messagekit_testkit::transport::TransportFixture;
use messagekit_testkit::unique;

use crate::mock::Mock;

struct MockTransport {
    mock: Mock,
    kafka: Kafka,
}

impl MockTransport {
    fn new() -> Self {
        let mock = Mock::start();
        let kafka = mock.kafka();
        Self { mock, kafka }
    }
}

impl TransportFixture for MockTransport {
    type Source = KafkaSource;

    fn capabilities(&self) -> Capabilities {
        self.kafka.topics(["any"]).capabilities()
    }

    async fn topic(&self) -> Arc<str> {
        let name = unique("topic");
        self.mock.create_topic(&name, 4);
        name.into()
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

    fn beyond(&self) -> &[(&'static str, &'static str)] {
        &[(
            "what_is_settled_while_revoking_counts",
            "the mock refuses every commit while a group is divided anew, a broker takes it",
        )]
    }

    fn quiet(&self) -> Duration {
        Duration::from_millis(500)
    }
}

mod transport {
    messagekit_testkit::transport_cases!(super::MockTransport::new());
}
