//! What a log says of the offsets of a topic.

use messagekit::ErrorKind;
use messagekit::adapter::Source;
use messagekit::log::{Bounds, Log, PartitionStart};
use messagekit_kafka::Kafka;
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{block_on, unique};

use super::Topic;

#[test]
fn a_log_says_what_each_partition_has() {
    block_on(async {
        let topic = Topic::make();
        topic.publish(0, 0..5);
        topic.publish(2, 0..2);
        let bounds = |partition, end| Bounds { partition, earliest: 0, end };
        assert_eq!(topic.log.bounds(&topic.name).await.unwrap(), [bounds(0, 5), bounds(1, 0), bounds(2, 2)]);
    });
}

#[test]
fn a_missing_topic_is_not_found_and_not_made() {
    block_on(async {
        let topic = Topic::make();
        for _ in 0..2 {
            for kind in [
                topic.log.bounds("absent").await.unwrap_err().kind(),
                topic.log.offsets_at("absent", jiff::Timestamp::UNIX_EPOCH).await.unwrap_err().kind(),
                topic.log.committed_offsets("absent", "billing").await.unwrap_err().kind(),
                topic.log.open(&"absent".into(), &[]).await.err().unwrap().kind(),
                topic.log.open(&topic.name, &[(9, PartitionStart::End)]).await.err().unwrap().kind(),
            ] {
                assert_eq!(kind, ErrorKind::NotFound);
            }
        }
        let twice = [(0, PartitionStart::End), (0, PartitionStart::Earliest)];
        let error = topic.log.open(&topic.name, &twice).await.err().unwrap();
        assert_eq!((error.kind(), error.context("partition")), (ErrorKind::InvalidConfiguration, Some("0")));
    });
}

#[test]
fn an_unreachable_broker_is_a_transient_error() {
    block_on(async {
        let log = Kafka::new("127.0.0.1:1").set("socket.connection.setup.timeout.ms", "1000").unwrap().log();
        assert!(log.bounds("orders").await.unwrap_err().is_transient());
        let unusable = Kafka::new("127.0.0.1:1").set("no.such.setting", "1").unwrap().log();
        assert_eq!(unusable.bounds("orders").await.unwrap_err().kind(), ErrorKind::InvalidConfiguration);
    });
}

#[test]
fn offsets_that_a_consumer_has_committed_are_found() {
    block_on(async {
        let (topic, consumer) = (Topic::make(), unique("consumer"));
        topic.publish(1, 0..4);
        assert_eq!(topic.log.committed_offsets(&topic.name, &consumer).await.unwrap(), []);
        let source = topic.mock.kafka().topics([topic.name.clone()]);
        let mut receiver = Receiver::new(source.bind(&consumer, &[]).await.unwrap(), &consumer);
        let taken = receiver.take(3).await;
        receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
        receiver.close().await.unwrap();
        let committed = topic.log.committed_offsets(&topic.name, &consumer).await.unwrap();
        assert!(committed.contains(&(1, 3)), "{committed:?}");
    });
}
