//! A new consumer that begins at a time.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::Source;
use messagekit_kafka::KafkaSubscriber;
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminOptions, NewPartitions};
use rdkafka::consumer::Consumer;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::{ADMIN, admin, blocking, committed, kafka, outside, topic};

/// Writes a record for each of these seconds, with their times, to one partition.
async fn write(topic: &Arc<str>, partition: i32, seconds: std::ops::Range<i64>) {
    let topic = Arc::clone(topic);
    blocking(move || {
        let end = || outside("unused").fetch_watermarks(&topic, partition, ADMIN).unwrap().1;
        let due = end() + (seconds.end - seconds.start);
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
        for second in seconds {
            let payload = second.to_string();
            let record = BaseRecord::<str, str>::to(&topic).partition(partition).payload(&payload);
            producer.send(record.timestamp(second * 1_000)).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(DEADLINE).unwrap();
        assert_eq!(end(), due, "a record was refused");
    })
    .await;
}

async fn join_since(topic: &Arc<str>, consumer: &str, time: Timestamp) -> Receiver<KafkaSubscriber> {
    let source = kafka().topics([Arc::clone(topic)]).since(time);
    Receiver::new(source.bind(consumer, &[]).await.unwrap(), consumer)
}

fn second(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

#[test]
fn new_consumer_begins_at_its_time_and_later_goes_on() {
    block_on(async {
        let (topic, consumer) = (topic(2, &[]).await, unique("consumer"));
        write(&topic, 0, 1_000..1_005).await;
        write(&topic, 0, 2_000..2_005).await;
        write(&topic, 1, 1_000..1_003).await;
        let mut receiver = join_since(&topic, &consumer, second(1_500)).await;
        let first = receiver.message().await;
        assert_eq!((first.position.unwrap().offset, &first.message.payload[..]), (5, &b"2000"[..]));
        eventually("partition 1 is read from its end", DEADLINE, async || {
            committed(&consumer, &topic, 1).await == Some(3)
        })
        .await;
        // What is written from now on is new, whatever its time is.
        write(&topic, 1, 900..901).await;
        receiver.take_until("900").await;
        receiver.close().await.unwrap();

        let mut receiver = join_since(&topic, &consumer, Timestamp::now()).await;
        let again = receiver.take(6).await;
        let mut texts: Vec<_> = again.iter().map(|delivery| &delivery.message.payload[..]).collect();
        texts.sort_unstable();
        assert_eq!(texts, [&b"2000"[..], b"2001", b"2002", b"2003", b"2004", b"900"], "nothing was settled");
        receiver.close().await.unwrap();
    });
}

#[test]
fn partition_that_is_added_later_is_read_from_its_beginning() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        write(&topic, 0, 1_000..1_003).await;
        let begun = Timestamp::now();
        let mut receiver = join_since(&topic, &consumer, begun).await;
        eventually("the past is skipped", DEADLINE, async || {
            committed(&consumer, &topic, 0).await == Some(3)
        })
        .await;
        receiver.close().await.unwrap();

        let options = AdminOptions::new().operation_timeout(Some(ADMIN));
        let added = admin().create_partitions([&NewPartitions::new(&topic, 2)], &options).await.unwrap();
        assert!(added.iter().all(Result::is_ok), "{added:?}");
        let now = Timestamp::now().as_second() + 1;
        eventually("the partition takes records", DEADLINE, async || {
            let topic = Arc::clone(&topic);
            blocking(move || outside("unused").fetch_watermarks(&topic, 1, ADMIN).is_ok()).await
        })
        .await;
        write(&topic, 1, now..now + 2).await;
        let mut receiver = join_since(&topic, &consumer, begun).await;
        let first = receiver.message().await.position.unwrap();
        assert_eq!((first.partition, first.offset), (1, 0));
        receiver.close().await.unwrap();
    });
}
