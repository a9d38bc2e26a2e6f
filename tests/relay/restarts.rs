//! Kafka crashes and freezes repeatedly under a relay, under a service with its own publisher, and under a reader of its topic.

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use messagekit::adapter::{PublishErrorKind, Publisher};
use messagekit::log::{Log, Page, PartitionStart};
use messagekit::{Message, headers};
use messagekit_kafka::Kafka;
use messagekit_testkit::{DEADLINE, block_on, eventually, unique};
use messagekit_tests::services::{self, Frozen, Service};
use messagekit_tests::{broker_failures, given_up_after};
use tokio::task::JoinHandle;

use crate::TURNS;
use crate::stage::{LIMIT, Stage};
use crate::topic::Topic;
use crate::verdict::compare;
use crate::writers::Writers;

/// The number of messages that both must publish until they count as recovered: more than a queue of the client may have held.
const MORE: i64 = 500;

#[test]
fn relay_and_publisher_recover_from_every_broker_restart() {
    let _turn = TURNS.alone();
    block_on(async {
        let stage = Arc::new(Stage::new(4).await);
        let mut relay = stage.relay("relay");
        let keys =
            (0..4).map(|writer| (0..4).map(|key| format!("k{}", 4 * key + writer)).collect()).collect();
        let writers = Writers::start(&stage, keys);
        let publishing = Publishing::start(Topic::make(&unique("own"), 4, LIMIT).await);
        let relayed = async || {
            let left = "SELECT (SELECT count(*) FROM messagekit.outbox_events) - count(*) FROM messagekit.outbox_pending";
            stage.count(left).await
        };
        let mut longest = Duration::ZERO;
        for restart in 0..=broker_failures() {
            let (from, since) = ((relayed().await, publishing.taken()), Instant::now());
            eventually("relay and publisher go on", DEADLINE, async || {
                relay.is_alive_still();
                publishing.taken() >= from.1 + MORE && relayed().await >= from.0 + MORE
            })
            .await;
            println!("they went on within {:.1?}", since.elapsed());
            longest = longest.max(since.elapsed());
            if restart % 3 == 1 {
                let (frozen, failed) = (Frozen::new(Service::Kafka), publishing.failed());
                eventually("a publish is given up", DEADLINE, async || publishing.failed() > failed).await;
                drop(frozen);
            } else if restart < broker_failures() {
                services::kill(Service::Kafka);
                services::start(Service::Kafka);
            }
        }
        writers.finish().await;
        stage.until_published().await;
        assert_eq!(stage.rejected().await, 0, "an outage is no refusal");
        println!("relay: {}; the longest pause {longest:.1?}", compare(&stage, None).await);
        publishing.finish().await;
        relay.stop().await;
    });
}

/// A service that publishes batches one after another, and repeats messages that were not accepted; and a reader of its topic.
struct Publishing {
    topic: Topic,
    progress: Arc<Progress>,
    task: JoinHandle<usize>,
    reading: JoinHandle<()>,
}

#[derive(Default)]
struct Progress {
    taken: AtomicUsize,
    failed: AtomicUsize,
    read: AtomicI64,
    stop: AtomicBool,
}

impl Publishing {
    fn start(topic: Topic) -> Self {
        let progress = Arc::<Progress>::default();
        let task = tokio::spawn(publish(topic.name.clone(), progress.clone()));
        let reading = tokio::spawn(read(topic.name.as_str().into(), progress.clone()));
        Self { topic, progress, task, reading }
    }

    fn taken(&self) -> i64 {
        self.progress.taken.load(Ordering::Relaxed) as i64
    }

    fn failed(&self) -> usize {
        self.progress.failed.load(Ordering::Relaxed)
    }

    /// Stops it, and requires that each message is in the topic, those of a key in their order.
    async fn finish(self) {
        self.progress.stop.store(true, Ordering::Relaxed);
        let batches = tokio::time::timeout(DEADLINE, self.task).await.expect("the service ends").unwrap();
        // Every record, in the order of its partition, over transient errors. A busy machine reads slowly, and a reader that is stuck reads
        // nothing.
        let log = Kafka::new(services::kafka()).log();
        let read = || self.progress.read.load(Ordering::Relaxed);
        let mut left = i64::MAX;
        while left > 0 {
            let before = read();
            eventually("the reader reads on, or has read the whole topic", DEADLINE, async || {
                assert!(!self.reading.is_finished(), "the reader fails");
                let Ok(bounds) = log.bounds(&self.topic.name).await else { return false };
                left = bounds.iter().map(|bounds| bounds.end).sum::<i64>() - read();
                left == 0 || read() > before
            })
            .await;
        }
        self.reading.abort();
        let mut seen = BTreeSet::new();
        let mut by_key: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let records = self.topic.read();
        for record in &records {
            let number: usize = record.id().parse().unwrap();
            if seen.insert(number) {
                by_key.entry(number % KEYS).or_default().push(number);
            }
        }
        assert_eq!(seen, (0..batches * KEYS).collect(), "every message is in the topic");
        assert!(by_key.values().all(|numbers| numbers.is_sorted()), "in the order of its key");
        println!("publisher: {} messages, {} records more", seen.len(), records.len() - seen.len());
    }
}

/// A batch has one message of each key.
const KEYS: usize = 20;

async fn publish(topic: String, progress: Arc<Progress>) -> usize {
    let kafka = Kafka::new(services::kafka()).set("delivery.timeout.ms", given_up_after()).unwrap();
    let publisher = kafka.publisher().unwrap();
    for batch in 0.. {
        if progress.stop.load(Ordering::Relaxed) {
            return batch;
        }
        let message = |key: usize| {
            let id = (batch * KEYS + key).to_string();
            Message::new(topic.as_str(), "{}").with_key(format!("k{key}")).with_header(headers::ID, id)
        };
        let mut left: Vec<Message> = (0..KEYS).map(message).collect();
        while !left.is_empty() {
            let results = publisher.publish(&left).await;
            let mut results = results.into_iter();
            left.retain(|_| match results.next().expect("one result per message") {
                Ok(()) => false,
                Err(error) => {
                    assert_ne!(error.refusal, PublishErrorKind::Rejected, "{:?}", error.error);
                    true
                }
            });
            progress.failed.fetch_add(left.len(), Ordering::Relaxed);
        }
        progress.taken.fetch_add(KEYS, Ordering::Relaxed);
        // Slow enough for a reader to read everything.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    unreachable!("the numbers do not end")
}

/// Reads a topic of four partitions with one reader, and requires that no offset is missing.
async fn read(topic: Arc<str>, progress: Arc<Progress>) {
    let log = Kafka::new(services::kafka()).log();
    let starts = [0, 1, 2, 3].map(|partition| (partition, PartitionStart::Earliest));
    let mut reader = log.open(&topic, &starts).await.unwrap();
    let mut next = [0; 4];
    loop {
        match poll_fn(|cx| reader.poll_page(100, cx)).await {
            Ok(Page::Records(records)) => {
                for record in &records {
                    let next = &mut next[record.position.partition as usize];
                    assert_eq!(record.position.offset, *next, "{}", record.position);
                    *next += 1;
                }
                progress.read.fetch_add(records.len() as i64, Ordering::Relaxed);
            }
            Ok(Page::End { partition, at }) => assert_eq!(at, next[partition as usize]),
            Ok(gone @ Page::Gone { .. }) => panic!("{gone:?}"),
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
}
