//! A topic that is deleted and made again under its name while it is read, before any metadata shows that it was gone.

use std::sync::Arc;

use messagekit::ErrorKind;
use messagekit::adapter::Source;
use messagekit_kafka::{KafkaSubscriber, OnRecreatedTopic};
use messagekit_testkit::transport::{Receiver, texts};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::make_topic;
use rdkafka::admin::AdminOptions;

use crate::broker::{ADMIN, admin, committed, kafka, publish, topic};
use crate::lost_positions::permanent_error_of;

/// Deletes a topic and makes it again at once, with records of its own.
async fn make_again(topic: &Arc<str>, records: usize) {
    let options = AdminOptions::new().operation_timeout(Some(ADMIN));
    let deleted = admin().delete_topics(&[&**topic], &options).await.unwrap();
    deleted.into_iter().for_each(|answer| drop(answer.unwrap()));
    make_topic(topic, 1, &[]).await;
    publish(topic, (0..records).map(|number| format!("again{number}"))).await;
}

async fn join(topic: &Arc<str>, consumer: &str, setting: OnRecreatedTopic) -> Receiver<KafkaSubscriber> {
    let source = kafka().on_recreated_topic(setting).topics([topic.clone()]);
    Receiver::new(source.bind(consumer, &[]).await.unwrap(), consumer)
}

/// Joins, and handles the six records of a new topic.
async fn handle_six(
    topic: &Arc<str>,
    consumer: &str,
    setting: OnRecreatedTopic,
) -> Receiver<KafkaSubscriber> {
    publish(topic, (0..6).map(|number| format!("m{number}"))).await;
    let mut receiver = join(topic, consumer, setting).await;
    let taken = receiver.take(6).await;
    receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
    eventually("six records are settled", DEADLINE, async || committed(consumer, topic, 0).await == Some(6))
        .await;
    receiver
}

#[test]
fn a_recreated_topic_stops_its_reader_before_a_record_of_it() {
    block_on(async {
        for records in [12, 3] {
            let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
            let mut receiver = handle_six(&topic, &consumer, OnRecreatedTopic::default()).await;
            make_again(&topic, records).await;
            let error = permanent_error_of(receiver.subscriber()).await;
            assert_eq!((error.kind(), error.context("topic")), (ErrorKind::WrongState, Some(&*topic)));
            assert!(error.to_string().contains("was deleted and made again"), "{error}");
        }
    });
}

#[test]
fn a_recreated_topic_is_read_from_its_start_by_the_setting() {
    block_on(async {
        for records in [12, 3] {
            let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
            let mut receiver = handle_six(&topic, &consumer, OnRecreatedTopic::ReadFromStart).await;
            make_again(&topic, records).await;
            let expected: Vec<String> = (0..records).map(|number| format!("again{number}")).collect();
            assert_eq!(texts(&receiver.take(records).await), expected);
        }
    });
}
