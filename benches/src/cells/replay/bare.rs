//! A bare consumer of the client library, which knows no order.

use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::message::Message as _;
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use super::arrivals::Arrivals;
use super::fixture::{FIGURE, PARTITIONS, PATIENCE, Shared};
use crate::frame::{Ledger, Measured, Meter, Outcome};

pub(super) const BARE: &str = "a bare consumer of the client library";

/// Reads the topic with these arrivals.
pub(super) async fn read(shared: Shared, arrivals: fn(usize) -> Arrivals) -> Outcome<Measured> {
    let (name, brokers, records) = (shared.name().await?, shared.brokers()?, shared.records);
    let meter = Meter::start(shared.settings().parts());
    let (ledger, rate) =
        tokio::task::spawn_blocking(move || consume(&brokers, &name, arrivals(records))).await??;
    let cpu = meter.per_100k(records);
    Ok(Measured::new(ledger).with(FIGURE, rate).with_all(cpu))
}

fn consume(brokers: &str, name: &str, mut arrivals: Arrivals) -> Outcome<(Ledger, f64)> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        .set("group.id", name)
        .set("enable.auto.commit", "false")
        .create()?;
    let mut assigned = TopicPartitionList::new();
    for partition in 0..PARTITIONS {
        assigned.add_partition_offset(name, partition, Offset::Beginning)?;
    }
    consumer.assign(&assigned)?;
    while !arrivals.is_complete() {
        let record = consumer.poll(PATIENCE).ok_or("no more records arrive")??;
        arrivals.see(record.partition(), record.offset(), record.payload().map_or(0, <[u8]>::len));
    }
    Ok(arrivals.verdict())
}
