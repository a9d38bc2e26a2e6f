//! Membership: rebalances, refused requests and unreachable brokers.

use std::collections::BTreeSet;
use std::time::Duration;

use messagekit::adapter::{Delivery, Incoming, Publisher, Source, Subscriber};
use messagekit::{ErrorKind, Message};
use messagekit_kafka::{Kafka, KafkaSubscriber};
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::types::RDKafkaApiKey::{self, Heartbeat, OffsetCommit};
use rdkafka::types::RDKafkaRespErr::{self, *};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::mock::Mock;

async fn next(subscriber: &mut KafkaSubscriber) -> Option<Result<Incoming, messagekit::Error>> {
    let next = tokio::time::timeout(DEADLINE, std::future::poll_fn(|cx| subscriber.poll_next(cx))).await;
    next.expect("the subscriber says something")
}

/// Makes a consumer take the only message of a topic.
async fn take_one(mock: &Mock, consumer: &str) -> (KafkaSubscriber, Delivery) {
    take_one_from(mock, mock.kafka(), consumer).await
}

async fn take_one_from(mock: &Mock, kafka: Kafka, consumer: &str) -> (KafkaSubscriber, Delivery) {
    mock.create_topic("orders", 1);
    let publisher = kafka.publisher().unwrap();
    publisher.publish(&[Message::new("orders", "{}")]).await.pop().unwrap().unwrap();
    let mut subscriber = kafka.topics(["orders"]).bind(consumer, &[]).await.unwrap();
    loop {
        if let Some(Ok(Incoming::Message(delivery))) = next(&mut subscriber).await {
            return (subscriber, delivery);
        }
    }
}

/// Makes the broker refuse the next requests of a kind.
fn refuse(mock: &Mock, requests: RDKafkaApiKey, with: RDKafkaRespErr, times: usize) {
    mock.call(move |cluster| cluster.request_errors(requests, &vec![with; times]));
}

/// Long enough for a hint and for heartbeats.
async fn wait(subscriber: &mut KafkaSubscriber) {
    let news = std::future::poll_fn(|cx| subscriber.poll_next(cx));
    let _ = tokio::time::timeout(Duration::from_secs(1), news).await;
}

async fn close(mut subscriber: KafkaSubscriber) -> Result<(), messagekit::Error> {
    std::future::poll_fn(|cx| subscriber.poll_close(cx)).await
}

/// Returns the committed offset of a consumer.
async fn committed(mock: &Mock, consumer: &str) -> Offset {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", mock.servers()).set("group.id", consumer);
    let mut position = TopicPartitionList::new();
    position.add_partition("orders", 0);
    let asked = tokio::task::spawn_blocking(move || {
        let outside: BaseConsumer = config.create().unwrap();
        outside.committed_offsets(position, DEADLINE).unwrap()
    });
    asked.await.unwrap().elements()[0].offset()
}

/// The client drops such a commit silently.
#[test]
fn a_refused_offset_commit_is_retried_without_new_messages() {
    block_on(async {
        let (mock, consumer) = (Mock::start(), unique("consumer"));
        let (mut subscriber, delivery) = take_one(&mock, &consumer).await;
        refuse(&mock, OffsetCommit, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, 2);
        subscriber.settle(&mut vec![delivery.receipt]);
        eventually("the place is committed", DEADLINE, async || {
            committed(&mock, &consumer).await == Offset::Offset(1)
        })
        .await;
    });
}

#[test]
fn a_fenced_instance_ends_with_a_permanent_error() {
    block_on(async {
        let mock = Mock::start();
        mock.create_topic("orders", 1);
        let source = mock.kafka().topics(["orders"]).instance_id("a");
        let mut subscriber = source.bind(&unique("consumer"), &[]).await.unwrap();
        assert!(matches!(next(&mut subscriber).await, Some(Ok(Incoming::Assigned { .. }))));
        refuse(&mock, Heartbeat, RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID, 3);
        let error = loop {
            match next(&mut subscriber).await {
                Some(Err(error)) if !error.is_transient() => break error,
                Some(_) => {}
                None => panic!("the subscriber ended without a word"),
            }
        };
        assert_eq!(error.kind(), ErrorKind::WrongState, "{error}");
        assert!(next(&mut subscriber).await.is_none());
    });
}

#[test]
fn member_forgotten_by_the_broker_loses_and_regains_its_lanes() {
    block_on(async {
        let mock = Mock::start();
        mock.create_topic("orders", 1);
        let publisher = mock.kafka().publisher().unwrap();
        publisher.publish(&[Message::new("orders", "{}")]).await.pop().unwrap().unwrap();
        let mut subscriber = mock.kafka().topics(["orders"]).bind(&unique("consumer"), &[]).await.unwrap();
        let Some(Ok(Incoming::Assigned { lane, .. })) = next(&mut subscriber).await else {
            panic!("no lane")
        };
        let Some(Ok(Incoming::Message(delivery))) = next(&mut subscriber).await else { panic!("no message") };
        refuse(&mock, Heartbeat, RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID, 1);
        let mut lost = false;
        let again = loop {
            match next(&mut subscriber).await {
                Some(Ok(Incoming::Lost { lane: gone })) => lost = gone == lane,
                Some(Ok(Incoming::Message(delivery))) => break delivery,
                Some(_) => {}
                None => panic!("the subscriber ended"),
            }
        };
        assert!(lost && again.receipt.lane() > lane);
        // A receipt of the lost assignment settles nothing.
        subscriber.settle(&mut vec![delivery.receipt]);
        assert_eq!(again.position.unwrap().offset, 0);
    });
}

/// The client does not report that a hint was refused.
#[test]
fn a_close_commits_what_a_refused_hint_did_not() {
    block_on(async {
        let (mock, consumer) = (Mock::start(), unique("consumer"));
        let (mut subscriber, delivery) = take_one(&mock, &consumer).await;
        // The hint, and the first attempt of the close.
        refuse(&mock, OffsetCommit, RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS, 2);
        subscriber.settle(&mut vec![delivery.receipt]);
        wait(&mut subscriber).await;
        close(subscriber).await.unwrap();
        assert_eq!(committed(&mock, &consumer).await, Offset::Offset(1));
    });
}

/// The client then assumes that its partitions are lost, which proves nothing: the broker decides when its session
/// ends.
#[test]
fn a_close_without_a_broker_reports_uncommitted_positions() {
    block_on(async {
        let (mock, consumer) = (Mock::start(), unique("consumer"));
        let kafka = mock.kafka().set("session.timeout.ms", "6000").unwrap();
        let (mut subscriber, delivery) = take_one_from(&mock, kafka, &consumer).await;
        mock.call(|cluster| cluster.broker_down(1)).unwrap();
        subscriber.settle(&mut vec![delivery.receipt]);
        let error = close(subscriber).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable);
        assert!(error.to_string().contains("last places were not written"), "{error}");
    });
}

#[test]
fn close_succeeds_although_other_members_own_the_partitions() {
    block_on(async {
        let (mock, consumer) = (Mock::start(), unique("consumer"));
        let (mut subscriber, delivery) = take_one(&mock, &consumer).await;
        // One may hit the hint.
        refuse(&mock, OffsetCommit, RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION, 2);
        subscriber.settle(&mut vec![delivery.receipt]);
        close(subscriber).await.unwrap();
        assert_eq!(committed(&mock, &consumer).await, Offset::Offset(0));
    });
}

#[test]
fn a_partition_without_a_leader_holds_nothing_else_up() {
    one_partition_has_no_leader("cooperative-sticky");
}

#[test]
fn a_leaderless_partition_stalls_no_other_with_range_assignment() {
    one_partition_has_no_leader("range");
}

/// The member reads the other partitions, and answers the requests of the group meanwhile.
fn one_partition_has_no_leader(strategy: &str) {
    block_on(async {
        let (mock, consumer) = (Mock::start(), unique("consumer"));
        mock.create_topic("orders", 4);
        let publisher = mock.kafka().publisher().unwrap();
        let batch: Vec<Message> =
            (0..40).map(|number| Message::new("orders", "{}").with_key(format!("k{number}"))).collect();
        publisher.publish(&batch).await.into_iter().for_each(|result| result.unwrap());
        mock.call(|cluster| cluster.partition_leader("orders", 3, None)).unwrap();

        let join = async || {
            let kafka = mock.kafka().set("partition.assignment.strategy", strategy).unwrap();
            let subscriber = kafka.topics(["orders"]).bind(&consumer, &[]).await.unwrap();
            Receiver::new(subscriber, consumer.as_str())
        };
        let mut first = join().await;
        let mut read = BTreeSet::new();
        read_until(&mut first, None, &mut read, |read| read.len() == 3).await;
        assert!(!read.contains(&3), "{read:?}");

        // A joining member gets its share, because the first one gives up the revoked partitions.
        let mut second = join().await;
        let mut theirs = BTreeSet::new();
        read_until(&mut second, Some(&mut first), &mut theirs, |theirs| !theirs.is_empty()).await;

        mock.call(|cluster| cluster.partition_leader("orders", 3, Some(1))).unwrap();
        let mut late = BTreeSet::new();
        read_until(&mut second, Some(&mut first), &mut late, |late| late.contains(&3)).await;
    });
}

/// Collects the partitions that one or two members receive messages from, until `enough`. Revoked lanes are given up
/// at once.
async fn read_until(
    member: &mut Receiver<KafkaSubscriber>,
    mut other: Option<&mut Receiver<KafkaSubscriber>>,
    read: &mut BTreeSet<i32>,
    enough: impl Fn(&BTreeSet<i32>) -> bool,
) {
    let end = tokio::time::Instant::now() + DEADLINE;
    let quiet = Duration::from_millis(100);
    while !enough(read) {
        assert!(tokio::time::Instant::now() < end, "only partitions {read:?} are read");
        let mut taken = member.take_while_busy(quiet).await;
        if let Some(other) = other.as_deref_mut() {
            taken.extend(other.take_while_busy(quiet).await);
        }
        read.extend(taken.into_iter().map(|delivery| delivery.position.unwrap().partition));
    }
}
