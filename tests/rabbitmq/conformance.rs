//! The transport suite.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Capabilities, Publisher, Source};
use messagekit_rabbitmq::{RabbitMq, RabbitMqSource};
use messagekit_testkit::transport::TransportFixture;

use crate::broker;

struct RabbitMqTransport {
    rabbit: RabbitMq,
}

impl RabbitMqTransport {
    fn new() -> Self {
        Self { rabbit: broker::rabbit() }
    }
}

impl TransportFixture for RabbitMqTransport {
    type Source = RabbitMqSource;

    fn capabilities(&self) -> Capabilities {
        self.rabbit.queue("any").capabilities()
    }

    async fn topic(&self) -> Arc<str> {
        broker::queue().await
    }

    fn source(&self, topics: &[Arc<str>]) -> RabbitMqSource {
        self.rabbit.topics(topics.iter().cloned())
    }

    fn publisher(&self) -> Box<dyn Publisher> {
        Box::new(self.rabbit.publisher())
    }

    fn quiet(&self) -> Duration {
        broker::QUIET
    }

    fn bad_topics(&self) -> Vec<String> {
        vec![String::new(), "q".repeat(256), "a\nb".to_owned()]
    }

    fn beyond(&self) -> &[(&'static str, &'static str)] {
        const WHY: &str = "the broker gives out messages one by one and never asks for a queue back";
        &[
            (
                "two_consumers_each_get_all",
                "a queue belongs to one consumer; a second one has a queue of its own",
            ),
            ("revoked_lane_is_not_reassigned_before_it_is_done", WHY),
            ("what_is_settled_while_revoking_counts", WHY),
        ]
    }

    fn can_lose(&self) -> bool {
        true
    }

    async fn lose(&self, consumer: &str) {
        broker::close_connections(&format!("messagekit consumer {consumer}")).await;
    }
}

mod transport {
    messagekit_testkit::transport_cases!(super::RabbitMqTransport::new());
}
