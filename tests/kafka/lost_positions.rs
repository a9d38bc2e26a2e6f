//! A position that the broker has lost stops the consumer, with an error that names the cure.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Incoming, NextOffset, Source, Subscriber};
use messagekit::{Error, ErrorKind};
use messagekit_kafka::KafkaSubscriber;
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use rdkafka::admin::AdminOptions;
use rdkafka::{Offset, TopicPartitionList};

use crate::broker::{ADMIN, admin, committed, join, kafka, publish, topic};

/// Joins with the position that a database has stored for partition 0.
async fn join_remembering(topic: &Arc<str>, consumer: &str, next: i64) -> KafkaSubscriber {
    let remembered = NextOffset { topic: topic.clone(), partition: 0, key_lane: 0, next };
    kafka().topics([topic.clone()]).bind(consumer, &[remembered]).await.unwrap()
}

/// Waits for the error that ends a subscriber, and requires that no message comes before or after it.
pub(crate) async fn permanent_error(mut subscriber: KafkaSubscriber) -> Error {
    permanent_error_of(&mut subscriber).await
}

/// As [`permanent_error`], of a subscriber that has delivered messages.
pub(crate) async fn permanent_error_of(subscriber: &mut KafkaSubscriber) -> Error {
    let mut next = async || {
        let answer =
            tokio::time::timeout(DEADLINE, std::future::poll_fn(|cx| subscriber.poll_next(cx))).await;
        answer.expect("the subscriber says something")
    };
    let error = loop {
        match next().await {
            Some(Err(error)) if !error.is_transient() => break error,
            Some(Err(_) | Ok(Incoming::Assigned { .. } | Incoming::Lost { .. })) => {}
            other => panic!("instead of an error came {other:?}"),
        }
    };
    assert!(next().await.is_none(), "nothing comes behind a permanent error");
    error
}

pub(crate) async fn handle_all(topic: &Arc<str>, consumer: &str, count: usize) {
    let mut receiver = join(&kafka(), topic, consumer).await;
    let taken = receiver.take(count).await;
    receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
    receiver.close().await.unwrap();
}

pub(crate) async fn delete_before(topic: &str, offset: i64) {
    let mut bounds = TopicPartitionList::new();
    bounds.add_partition_offset(topic, 0, Offset::Offset(offset)).unwrap();
    admin().delete_records(&bounds, &AdminOptions::new().operation_timeout(Some(ADMIN))).await.unwrap();
}

#[test]
fn a_lost_offset_that_the_database_remembers_is_loud() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, (0..5).map(|number| format!("m{number}"))).await;
        handle_all(&topic, &consumer, 5).await;
        let options = AdminOptions::new().request_timeout(Some(ADMIN));
        eventually("the group is empty and can be deleted", DEADLINE, async || {
            let deleted = admin().delete_groups(&[&consumer], &options).await.unwrap();
            deleted[0].is_ok()
        })
        .await;
        assert_eq!(committed(&consumer, &topic, 0).await, None);

        let error = permanent_error(join_remembering(&topic, &consumer, 5).await).await;
        assert_eq!(error.kind(), ErrorKind::WrongState);
        assert_eq!((error.context("consumer"), error.context("topic")), (Some(&*consumer), Some(&*topic)));
        assert_eq!((error.context("partition"), error.context("remembered")), (Some("0"), Some("5")));
        assert!(error.to_string().contains("commit offset 5"), "{error}");
        assert_eq!(committed(&consumer, &topic, 0).await, None, "nothing was written over the loss");
    });
}

#[test]
fn a_remembered_offset_that_the_group_has_too_is_no_loss() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, (0..5).map(|number| format!("m{number}"))).await;
        handle_all(&topic, &consumer, 5).await;
        publish(&topic, ["m5".to_owned()]).await;
        let mut receiver = Receiver::new(join_remembering(&topic, &consumer, 5).await, &consumer);
        let next = receiver.message().await;
        assert_eq!(next.position.unwrap().offset, 5);
    });
}

/// A process that crashes between its first commit in the database and the first one here has not lost anything.
#[test]
fn new_consumer_commits_its_start_before_its_first_message() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, ["m0".to_owned()]).await;
        let mut receiver = join(&kafka(), &topic, &consumer).await;
        let first = receiver.message().await;
        assert_eq!(committed(&consumer, &topic, 0).await, Some(0));
        drop((first, receiver));
        let mut receiver = Receiver::new(join_remembering(&topic, &consumer, 1).await, &consumer);
        assert_eq!(receiver.message().await.position.unwrap().offset, 0);
    });
}

#[test]
fn records_deleted_before_they_were_read_are_loud() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, (0..3).map(|number| format!("m{number}"))).await;
        handle_all(&topic, &consumer, 3).await;
        publish(&topic, (3..10).map(|number| format!("m{number}"))).await;
        delete_before(&topic, 7).await;

        let subscriber = kafka().topics([topic.clone()]).bind(&consumer, &[]).await.unwrap();
        let error = permanent_error(subscriber).await;
        assert_eq!(error.kind(), ErrorKind::WrongState);
        assert_eq!((error.context("offset"), error.context("earliest")), (Some("3"), Some("7")));
        assert!(error.to_string().contains("records 3 to 6 were deleted"), "{error}");
        assert_eq!(committed(&consumer, &topic, 0).await, Some(3), "nothing was passed over");
    });
}

#[test]
fn a_new_consumer_starts_behind_deleted_records() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, (0..10).map(|number| format!("m{number}"))).await;
        delete_before(&topic, 7).await;
        let mut receiver = join(&kafka(), &topic, &consumer).await;
        let taken = receiver.take(3).await;
        assert_eq!(taken[0].position.as_ref().unwrap().offset, 7);
    });
}

#[test]
fn an_offset_behind_the_end_is_loud() {
    block_on(async {
        let (topic, consumer) = (topic(1, &[]).await, unique("consumer"));
        publish(&topic, ["m0".to_owned()]).await;
        let (group, name) = (consumer.clone(), topic.clone());
        crate::broker::blocking(move || {
            use rdkafka::consumer::{CommitMode, Consumer};
            let mut position = TopicPartitionList::new();
            position.add_partition_offset(&name, 0, Offset::Offset(40)).unwrap();
            crate::broker::outside(&group).commit(&position, CommitMode::Sync).unwrap();
        })
        .await;
        let subscriber = kafka().topics([topic.clone()]).bind(&consumer, &[]).await.unwrap();
        let error = permanent_error(subscriber).await;
        assert_eq!((error.kind(), error.context("offset")), (ErrorKind::WrongState, Some("40")));
        assert!(error.to_string().contains("ends at 1"), "{error}");
    });
}

#[test]
fn a_broker_outage_is_reported_at_intervals_and_close_returns() {
    block_on(async {
        let kafka = messagekit_kafka::Kafka::new("127.0.0.1:1");
        let mut subscriber = kafka.topics(["orders"]).bind("billing", &[]).await.unwrap();
        let mut told = 0;
        let mut end = tokio::time::Instant::now() + DEADLINE;
        while let Ok(answer) =
            tokio::time::timeout_at(end, std::future::poll_fn(|cx| subscriber.poll_next(cx))).await
        {
            assert!(matches!(answer, Some(Err(error)) if error.is_transient()));
            if told == 0 {
                end = tokio::time::Instant::now() + Duration::from_secs(4);
            }
            told += 1;
        }
        assert!((1..=4).contains(&told), "it was told {told} times");
        let closed =
            tokio::time::timeout(DEADLINE, std::future::poll_fn(|cx| subscriber.poll_close(cx))).await;
        closed.expect("a close ends").expect("nothing was settled");
    });
}
