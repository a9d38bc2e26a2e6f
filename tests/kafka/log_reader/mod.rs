//! Topics as a log: what only a real broker has. The other cases run on the mock of the client library.

mod retention;
mod times;
mod transactions;

use std::future::poll_fn;
use std::sync::Arc;

use messagekit::log::{Log, LogReader, Page, PartitionStart};
use messagekit_testkit::DEADLINE;
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::{blocking, kafka};

struct Reader(Box<dyn LogReader>);

impl Reader {
    async fn open(topic: &Arc<str>, starts: &[(i32, PartitionStart)]) -> Self {
        Self(kafka().log().open(topic, starts).await.unwrap())
    }

    /// Returns the next page, over transient errors.
    async fn page(&mut self) -> Page {
        loop {
            let next = poll_fn(|cx| self.0.poll_page(100, cx));
            match tokio::time::timeout(DEADLINE, next).await.expect("the reader says something") {
                Ok(page) => return page,
                Err(error) => assert!(error.is_transient(), "{error}"),
            }
        }
    }

    /// Reads until the end of a partition. Returns the offsets, and the end.
    async fn until_end(&mut self) -> (Vec<i64>, i64) {
        let mut offsets = Vec::new();
        loop {
            match self.page().await {
                Page::Records(records) => {
                    offsets.extend(records.iter().map(|record| record.position.offset));
                }
                Page::End { at, .. } => return (offsets, at),
                gone @ Page::Gone { .. } => panic!("{gone:?}"),
            }
        }
    }
}

/// Writes records to partition 0: a key, and a payload or none, with a time in milliseconds.
async fn write(topic: &Arc<str>, records: Vec<(&'static str, Option<&'static str>, i64)>) {
    let name = topic.clone();
    blocking(move || {
        let producer: BaseProducer =
            ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
        for (key, payload, time) in &records {
            let record = BaseRecord::<str, str>::to(&name).partition(0).key(*key).timestamp(*time);
            let record = payload.iter().fold(record, |record, payload| record.payload(*payload));
            producer.send(record).map_err(|(error, _)| error).unwrap();
            // Each in a batch of its own.
            producer.flush(DEADLINE).unwrap();
        }
    })
    .await;
}

/// Returns the end of partition 0.
async fn end(topic: &str) -> i64 {
    kafka().log().bounds(topic).await.unwrap()[0].end
}
