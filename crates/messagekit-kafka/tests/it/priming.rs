//! A consumer that is primed from topics of Kafka, and goes on as a member of its group.

use std::ops::Range;
use std::sync::Arc;

use messagekit::adapter::Publisher;
use messagekit::consumer::ConsumerStats;
use messagekit::log::{OrderedReader, OrderedReaderBuilder, Start};
use messagekit::{Consumer, HandlerError, Message, Shutdown, Stats, headers};
use messagekit_kafka::Kafka;
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use tokio::task::JoinHandle;

use crate::mock::Mock;

const TOPICS: [&str; 2] = ["orders", "payments"];
const PARTITIONS: i32 = 3;

async fn note(tx: &mut MemoryTx, message: Message) -> Result<(), HandlerError> {
    tx.add(format!("n-{}", String::from_utf8_lossy(&message.payload)), 1);
    Ok(())
}

/// Publishes numbers to both topics in turns.
async fn publish(kafka: &Kafka, numbers: Range<usize>) {
    let message = |number: usize| {
        Message::new(TOPICS[number % 2], number.to_string())
            .with_key(format!("k-{}", number % 7))
            .with_header(headers::ID, unique("m"))
            .with_header(headers::EVENT_TYPE, "shop.number.noted")
    };
    let batch: Vec<Message> = numbers.map(message).collect();
    let results = kafka.publisher().expect("settings are usable").publish(&batch).await;
    results.into_iter().for_each(|result| result.expect("published"));
}

fn reader(kafka: &Kafka) -> OrderedReaderBuilder {
    let (log, builder) = (Arc::new(kafka.log()), OrderedReader::builder());
    TOPICS.iter().fold(builder, |builder, topic| builder.source(log.clone(), *topic, Start::Earliest))
}

/// A running consumer of both topics.
struct Running {
    stats: Stats,
    shutdown: Shutdown,
    task: JoinHandle<Result<(), messagekit::Error>>,
}

impl Running {
    fn start(kafka: &Kafka, store: &MemoryStore, name: &str) -> Self {
        let consumer = Consumer::builder(name.to_owned(), store.clone()).from(kafka.topics(TOPICS));
        let consumer = consumer.fallback(note).build().expect("it is complete");
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let task = tokio::spawn(consumer.prime(reader(kafka)).run(shutdown.clone()));
        Self { stats, shutdown, task }
    }

    async fn until_handled(&self, store: &MemoryStore, numbers: Range<usize>) {
        eventually("the numbers are handled", DEADLINE, async || {
            assert!(!self.task.is_finished(), "it runs until it is stopped");
            numbers.clone().all(|number| store.get(&format!("n-{number}")) == 1)
        })
        .await;
    }

    /// Stops it, and returns what it counted. A message is counted a moment after its effect can be seen.
    async fn stop(self) -> ConsumerStats {
        self.shutdown.request();
        self.task.await.expect("it does not panic").expect("it ends well");
        self.stats.read()
    }
}

#[test]
fn a_primed_consumer_joins_its_group_without_gap_or_repeat() {
    block_on(async {
        let (mock, store, name) = (Mock::start(), MemoryStore::new(), unique("projection"));
        TOPICS.iter().for_each(|topic| mock.create_topic(topic, PARTITIONS));
        let kafka = mock.kafka();
        publish(&kafka, 0..200).await;
        let running = Running::start(&kafka, &store, &name);
        running.until_handled(&store, 0..200).await;
        publish(&kafka, 200..230).await;
        running.until_handled(&store, 200..230).await;
        let read = running.stop().await;
        assert_eq!((read.handled, read.duplicates), (230, 0));

        // The next process goes on from the group's offsets.
        publish(&kafka, 230..240).await;
        let running = Running::start(&kafka, &store, &name);
        running.until_handled(&store, 0..240).await;
        assert_eq!(running.stop().await.handled, 10);
    });
}
