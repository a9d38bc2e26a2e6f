//! The start offsets of partitions that were read before: remembered by the consumer's database, or found in the log.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use messagekit::adapter::{
    BoxFuture, Incoming, NextOffset, Publisher, RememberedOffsets, Source, Subscriber,
};
use messagekit::{Error, ErrorKind, Message, Position};
use messagekit_kafka::{KafkaSource, KafkaSubscriber};
use messagekit_testkit::transport::Receiver;
use messagekit_testkit::{DEADLINE, block_on, unique};
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::log;
use crate::mock::Mock;

/// The remembered offsets of a consumer's database. Each key is its own key lane, numbered by its last digit.
#[derive(Default)]
struct Database {
    positions: Mutex<Vec<NextOffset>>,
    /// The next query gets no answer.
    is_silent: AtomicBool,
    /// The consumer was primed.
    is_primed: AtomicBool,
}

impl Database {
    fn remember(&self, topic: &str, positions: &[(i32, u32, i64)]) {
        let next = |(partition, key_lane, next): &(i32, u32, i64)| NextOffset {
            topic: topic.into(),
            partition: *partition,
            key_lane: *key_lane,
            next: *next,
        };
        *self.positions.lock().unwrap() = positions.iter().map(next).collect();
    }
}

impl RememberedOffsets for Database {
    fn next_of<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<NextOffset>, Error>> {
        Box::pin(async move {
            if self.is_silent.swap(false, Ordering::SeqCst) {
                std::future::pending::<()>().await;
            }
            let positions = self.positions.lock().unwrap();
            Ok(positions.iter().filter(|next| *next.topic == *topic).cloned().collect())
        })
    }

    fn is_primed(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async { Ok(self.is_primed.load(Ordering::SeqCst)) })
    }

    fn key_lane(&self, message: &Message, _: &Position) -> u32 {
        let last = message.key.as_ref().and_then(|key| key.last().copied());
        last.map_or(0, |digit| u32::from(digit - b'0'))
    }
}

fn source(mock: &Mock, topics: &[&str], database: &Arc<Database>) -> KafkaSource {
    let mut source = mock.kafka().topics(topics.iter().copied());
    source.consult(Arc::clone(database) as Arc<dyn RememberedOffsets>);
    source
}

async fn join(
    mock: &Mock,
    topics: &[&str],
    database: &Arc<Database>,
    consumer: &str,
) -> Receiver<KafkaSubscriber> {
    Receiver::new(source(mock, topics, database).bind(consumer, &[]).await.unwrap(), consumer)
}

/// Publishes ten messages with ten keys.
async fn publish(mock: &Mock, topic: &str, text: &str) {
    let message = |number| Message::new(topic, text.to_owned()).with_key(format!("k{number}"));
    let batch: Vec<Message> = (0..10).map(message).collect();
    let results = mock.kafka().publisher().unwrap().publish(&batch).await;
    results.into_iter().for_each(|result| result.unwrap());
}

/// Handles the messages of topics, and leaves.
async fn handle(mock: &Mock, topics: &[&str], consumer: &str) {
    let mut receiver = join(mock, topics, &Arc::default(), consumer).await;
    let taken = receiver.take(topics.len() * 10).await;
    receiver.settle_receipts(taken.into_iter().map(|delivery| delivery.receipt).collect());
    receiver.close().await.unwrap();
}

/// A consumer has handled ten messages; its database has lost the commit of the one of key lane 7; ten more wait.
async fn lost_of_lane_7() -> (Mock, String, Arc<Database>) {
    let (mock, consumer, database) = (Mock::start(), unique("consumer"), Arc::<Database>::default());
    mock.create_topic("orders", 1);
    publish(&mock, "orders", "first").await;
    handle(&mock, &["orders"], &consumer).await;
    publish(&mock, "orders", "second").await;
    let next = |lane: u32| if lane == 7 { 5 } else { i64::from(lane) + 1 };
    database.remember("orders", &(0..10).map(|lane| (0, lane, next(lane))).collect::<Vec<_>>());
    (mock, consumer, database)
}

#[test]
fn a_key_lane_behind_the_others_is_read_from_its_own_position() {
    block_on(async {
        let (mock, consumer, database) = lost_of_lane_7().await;
        let mut receiver = join(&mock, &["orders"], &database, &consumer).await;
        assert_eq!(receiver.message().await.position.unwrap().offset, 5);
    });
}

#[test]
fn a_primed_consumer_starts_at_its_positions() {
    block_on(async {
        let (mock, consumer, database) = (Mock::start(), unique("consumer"), Arc::<Database>::default());
        mock.create_topic("orders", 1);
        publish(&mock, "orders", "past").await;
        database.remember("orders", &[(0, 0, 6)]);
        database.is_primed.store(true, Ordering::SeqCst);
        let mut receiver = join(&mock, &["orders"], &database, &consumer).await;
        assert_eq!(receiver.message().await.position.unwrap().offset, 6);
        receiver.close().await.unwrap();
    });
}

#[test]
fn a_database_that_does_not_answer_for_a_while_is_asked_again() {
    block_on(async {
        let (mock, consumer, database) = lost_of_lane_7().await;
        database.is_silent.store(true, Ordering::SeqCst);
        let mut receiver = join(&mock, &["orders"], &database, &consumer).await;
        assert_eq!(receiver.message().await.position.unwrap().offset, 5);
    });
}

#[test]
fn forgotten_partition_is_logged_and_read_from_the_group_offset() {
    block_on(async {
        log::keep();
        let (mock, consumer, database) = (Mock::start(), unique("consumer"), Arc::<Database>::default());
        mock.create_topic("orders", 2);
        publish(&mock, "orders", "first").await;
        handle(&mock, &["orders"], &consumer).await;
        publish(&mock, "orders", "second").await;
        // All of partition 0, nothing of partition 1.
        database.remember("orders", &(0..10).map(|lane| (0, lane, 10)).collect::<Vec<_>>());
        let mut receiver = join(&mock, &["orders"], &database, &consumer).await;
        let second = receiver.take(10).await;
        assert!(second.iter().all(|delivery| delivery.message.payload == "second"), "{second:?}");
        let told = log::lines_with(&consumer);
        let told: Vec<_> = told.iter().filter(|line| line.contains("remembers other partitions")).collect();
        assert_eq!(told.len(), 1, "{told:?}");
        assert!(told[0].starts_with("WARN") && told[0].contains("partition=1"), "{told:?}");
    });
}

#[test]
fn a_partition_that_was_read_before_waits_for_its_leader_alone() {
    block_on(async {
        let (mock, consumer) = (Mock::start(), unique("consumer"));
        mock.create_topic("orders", 2);
        publish(&mock, "orders", "first").await;
        handle(&mock, &["orders"], &consumer).await;
        publish(&mock, "orders", "second").await;
        mock.call(|cluster| cluster.partition_leader("orders", 1, None)).unwrap();
        let mut receiver = join(&mock, &["orders"], &Arc::default(), &consumer).await;
        let mut read = BTreeSet::from([receiver.message().await.position.unwrap().partition]);
        let lanes: Vec<_> = receiver.lanes().iter().map(|lane| receiver.name(*lane).clone()).collect();
        assert_eq!(lanes, ["orders/0".into()], "nothing is known of the last record of partition 1");

        mock.call(|cluster| cluster.partition_leader("orders", 1, Some(1))).unwrap();
        while !read.contains(&1) {
            read.insert(receiver.message().await.position.unwrap().partition);
        }
    });
}

/// Commits an offset of a topic for a new group, with the metadata that another group has committed for a topic.
fn copy_offset(mock: &Mock, from: (&str, &str), to: (&str, &str), offset: i64) {
    let client = |group: &str| -> BaseConsumer {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", mock.servers()).set("group.id", group).create().unwrap()
    };
    let mut asked = TopicPartitionList::new();
    asked.add_partition(from.1, 0);
    let found = client(from.0).committed_offsets(asked, DEADLINE).unwrap();
    let mut copy = TopicPartitionList::new();
    copy.add_partition_offset(to.1, 0, Offset::Offset(offset)).unwrap();
    copy.find_partition(to.1, 0).unwrap().set_metadata(found.elements()[0].metadata());
    client(to.0).commit(&copy, CommitMode::Sync).unwrap();
}

#[test]
fn a_partition_without_a_leader_hides_no_cut_of_another_topic() {
    block_on(async {
        let (mock, read, consumer) = (Mock::start(), unique("consumer"), unique("consumer"));
        for topic in ["a", "b", "cut"] {
            mock.create_topic(topic, 1);
            publish(&mock, topic, topic).await;
        }
        handle(&mock, &["a", "b"], &read).await;
        copy_offset(&mock, (&read, "a"), (&consumer, "a"), 10);
        copy_offset(&mock, (&read, "b"), (&consumer, "cut"), 10);
        mock.call(|cluster| cluster.partition_leader("a", 0, None)).unwrap();

        let mut subscriber =
            source(&mock, &["a", "cut"], &Arc::default()).bind(&consumer, &[]).await.unwrap();
        let error = loop {
            let next = std::future::poll_fn(|cx| subscriber.poll_next(cx));
            match tokio::time::timeout(DEADLINE, next).await.expect("it says something") {
                Some(Err(error)) if !error.is_transient() => break error,
                Some(Ok(Incoming::Assigned { name, .. })) => panic!("{name} is read"),
                Some(_) => {}
                None => panic!("it ends without a word"),
            }
        };
        assert_eq!((error.kind(), error.context("topic")), (ErrorKind::WrongState, Some("cut")));
    });
}

/// A tool that mirrors a cluster commits its own offsets with the metadata of the original ones.
#[test]
fn an_offset_that_was_mirrored_with_its_metadata_is_no_cut() {
    block_on(async {
        let (mock, read, consumer) = (Mock::start(), unique("consumer"), unique("consumer"));
        mock.create_topic("orders", 1);
        publish(&mock, "orders", "first").await;
        handle(&mock, &["orders"], &read).await;
        copy_offset(&mock, (&read, "orders"), (&consumer, "orders"), 4);
        let mut receiver = join(&mock, &["orders"], &Arc::default(), &consumer).await;
        assert_eq!(receiver.message().await.position.unwrap().offset, 4);
    });
}
