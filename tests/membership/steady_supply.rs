//! Publishes to every partition several times per second, which makes a partition visible that is not read.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use messagekit_testkit::DEADLINE;
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

use crate::group::{PARTITIONS, step};

const EVERY: Duration = Duration::from_millis(200);

/// A thread that publishes until it is stopped.
pub(crate) struct SteadySupply {
    over: Arc<AtomicBool>,
    thread: JoinHandle<usize>,
}

impl SteadySupply {
    pub(crate) fn start(topic: Arc<str>) -> Self {
        let over = Arc::new(AtomicBool::new(false));
        let is_over = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            let producer: ThreadedProducer<DefaultProducerContext> =
                ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
            let mut published = 0;
            while !is_over.load(Ordering::SeqCst) {
                for partition in 0..PARTITIONS {
                    publish(&producer, &topic, partition);
                    published += 1;
                }
                std::thread::park_timeout(EVERY);
            }
            producer.flush(DEADLINE).unwrap();
            published
        });
        Self { over, thread }
    }

    /// Stops, and returns how many records are certainly in the topic.
    pub(crate) fn end(self) -> usize {
        self.over.store(true, Ordering::SeqCst);
        self.thread.thread().unpark();
        self.thread.join().unwrap()
    }
}

/// Publishes to a named partition, which gives each the same number.
fn publish(producer: &ThreadedProducer<DefaultProducerContext>, topic: &Arc<str>, partition: i32) {
    let message = step(topic, &format!("p-{partition}"));
    let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(value.as_ref()) })
    });
    let record = BaseRecord::<[u8], [u8]>::to(topic)
        .partition(partition)
        .key(message.key.as_deref().unwrap())
        .payload(&message.payload[..])
        .headers(headers);
    producer.send(record).map_err(|(error, _)| error).unwrap();
}
