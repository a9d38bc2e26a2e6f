//! The retention that the broker reports for topics.

use std::time::Duration;

use messagekit::adapter::{Source, TopicRetention};
use messagekit_kafka::Kafka;
use messagekit_testkit::{block_on, unique};

use crate::broker::{kafka, topic};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

#[test]
fn a_source_tells_how_long_each_of_its_topics_keeps_records() {
    block_on(async {
        let day = topic(1, &[("retention.ms", "86400000")]).await;
        let ever = topic(1, &[("retention.ms", "-1")]).await;
        let compacted = topic(1, &[("cleanup.policy", "compact"), ("retention.ms", "1000")]).await;
        let both = topic(1, &[("cleanup.policy", "compact,delete"), ("retention.ms", "172800000")]).await;
        let absent = unique("topic").into();
        let topics = [&day, &ever, &absent, &compacted, &both];
        let source = kafka().topics(topics.map(Clone::clone));
        let kept = source.retention().expect("a broker can be asked").retention().await.unwrap();
        let says = |topic: &std::sync::Arc<str>, time| TopicRetention { topic: topic.clone(), time };
        assert_eq!(
            kept,
            [says(&day, Some(DAY)), says(&ever, None), says(&compacted, None), says(&both, Some(2 * DAY))]
        );
    });
}

#[test]
fn retention_of_an_unreachable_broker_is_a_transient_error() {
    block_on(async {
        let source = Kafka::new("127.0.0.1:1").topics(["orders.order"]);
        let error = source.retention().expect("a broker can be asked").retention().await.unwrap_err();
        assert!(error.is_transient(), "{error}");
    });
}
