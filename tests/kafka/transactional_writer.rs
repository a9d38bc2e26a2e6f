//! Another writer, which writes in transactions.

use std::sync::Arc;

use messagekit_testkit::{DEADLINE, unique};
use messagekit_tests::services;
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::broker::blocking;

/// Begins a transaction and writes records to partition 0.
pub(crate) async fn begin(topic: &Arc<str>, records: usize) -> BaseProducer {
    begin_in(topic, 0..1, records).await
}

/// Begins a transaction and writes records to each of the partitions.
pub(crate) async fn begin_in(
    topic: &Arc<str>,
    partitions: std::ops::Range<i32>,
    records: usize,
) -> BaseProducer {
    let name = topic.clone();
    blocking(move || {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", services::kafka()).set("transactional.id", unique("writer"));
        let producer: BaseProducer = config.create().unwrap();
        producer.init_transactions(DEADLINE).unwrap();
        producer.begin_transaction().unwrap();
        for partition in partitions {
            for number in 0..records {
                let text = number.to_string();
                let record = BaseRecord::<str, str>::to(&name).partition(partition).payload(&text);
                producer.send(record).map_err(|(error, _)| error).unwrap();
            }
        }
        producer.flush(DEADLINE).unwrap();
        producer
    })
    .await
}

pub(crate) async fn commit(producer: BaseProducer) {
    blocking(move || producer.commit_transaction(DEADLINE).unwrap()).await;
}

pub(crate) async fn abort(producer: BaseProducer) {
    blocking(move || producer.abort_transaction(DEADLINE).unwrap()).await;
}
