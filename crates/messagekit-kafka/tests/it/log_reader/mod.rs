//! Topics as a log: bounds, and readers that join no group.

mod faults;
mod offsets;
mod reading;

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::Arc;

use messagekit::Error;
use messagekit::log::{Log, LogReader, Page, PartitionStart, Record};
use messagekit_kafka::KafkaLog;
use messagekit_testkit::{DEADLINE, unique};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::mock::Mock;

const PARTITIONS: i32 = 3;

/// A topic of three partitions in a mock cluster.
struct Topic {
    mock: Mock,
    log: KafkaLog,
    name: Arc<str>,
}

impl Topic {
    fn make() -> Self {
        let (mock, name) = (Mock::start(), unique("topic"));
        mock.create_topic(&name, PARTITIONS);
        Self { log: mock.kafka().log(), mock, name: name.into() }
    }

    /// Publishes numbered messages to a partition.
    fn publish(&self, partition: i32, numbers: std::ops::Range<usize>) {
        self.send(numbers.map(|number| (partition, format!("{partition}-{number}"))));
    }

    fn send(&self, texts: impl Iterator<Item = (i32, String)>) {
        let producer = self.producer();
        for (partition, text) in texts {
            let record = BaseRecord::<str, str>::to(&self.name).partition(partition).payload(&text);
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(DEADLINE).unwrap();
    }

    fn producer(&self) -> BaseProducer {
        ClientConfig::new().set("bootstrap.servers", self.mock.servers()).create().unwrap()
    }

    async fn open(&self, starts: &[(i32, PartitionStart)]) -> Reader {
        Reader(self.log.open(&self.name, starts).await.unwrap())
    }
}

struct Reader(Box<dyn LogReader>);

impl Reader {
    async fn next(&mut self, max: usize) -> Result<Page, Error> {
        let next = poll_fn(|cx| self.0.poll_page(max, cx));
        tokio::time::timeout(DEADLINE, next).await.expect("the reader says something")
    }

    /// Returns the next page, over transient errors.
    async fn page(&mut self, max: usize) -> Page {
        loop {
            match self.next(max).await {
                Ok(page) => return page,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
    }

    /// Reads until this many ends came. Returns the offsets and ends of each partition.
    async fn until_ends(&mut self, ends: usize) -> BTreeMap<i32, (Vec<i64>, Vec<i64>)> {
        let mut read: BTreeMap<i32, (Vec<i64>, Vec<i64>)> = BTreeMap::new();
        let mut left = ends;
        while left > 0 {
            match self.page(7).await {
                Page::Records(records) => {
                    assert!(records.len() <= 7);
                    let partition = records[0].position.partition;
                    assert!(records.iter().all(|record| record.position.partition == partition));
                    read.entry(partition).or_default().0.extend(offsets_of(&records));
                }
                Page::End { partition, at } => {
                    read.entry(partition).or_default().1.push(at);
                    left -= 1;
                }
                Page::Gone { .. } => panic!("nothing was deleted"),
            }
        }
        read
    }

    /// Reads one partition until its end lies there: beside a writer it may have ended earlier, too. Returns the offsets.
    async fn until_end_at(&mut self, partition: i32, end: i64) -> Vec<i64> {
        let mut read = Vec::new();
        loop {
            let mut found = self.until_ends(1).await;
            let (offsets, ends) = found.remove(&partition).expect("no other partition has records");
            read.extend(offsets);
            if ends == [end] {
                return read;
            }
        }
    }

    /// Returns the next records. The ends of other partitions may come before them.
    async fn records(&mut self, max: usize) -> Vec<Record> {
        loop {
            match self.page(max).await {
                Page::Records(records) => return records,
                Page::End { .. } => {}
                gone => panic!("{gone:?} instead of records"),
            }
        }
    }
}

fn offsets_of(records: &[Record]) -> Vec<i64> {
    records.iter().map(|record| record.position.offset).collect()
}

fn all(start: PartitionStart) -> Vec<(i32, PartitionStart)> {
    (0..PARTITIONS).map(|partition| (partition, start)).collect()
}
