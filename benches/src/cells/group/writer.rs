//! Writes to every partition at a steady rate. The number of an event identifies its partition.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use messagekit::Envelope;
use messagekit::adapter::codec;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use crate::events::Made;
use crate::frame::Outcome;
use crate::resources::PARTITIONS;

/// The pause between two events of a partition.
pub(super) const PACE: Duration = Duration::from_millis(100);

/// A writer in the background. A drop ends it.
pub(super) struct Writer {
    stop: Arc<AtomicBool>,
    task: JoinHandle<Outcome<usize>>,
}

impl Writer {
    pub(super) fn start(brokers: &str, topic: &str) -> Outcome<Self> {
        let mut config = ClientConfig::new();
        let producer = config.set("bootstrap.servers", brokers).set("enable.idempotence", "true").create()?;
        let stop = Arc::<AtomicBool>::default();
        let task = tokio::spawn(write(producer, topic.to_owned(), Arc::clone(&stop)));
        Ok(Self { stop, task })
    }

    /// Stops the writer and returns the number of events.
    pub(super) async fn finish(mut self) -> Outcome<usize> {
        self.stop.store(true, Ordering::Relaxed);
        (&mut self.task).await?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn write(producer: FutureProducer, topic: String, stop: Arc<AtomicBool>) -> Outcome<usize> {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut written = 0;
    while !stop.load(Ordering::Relaxed) {
        ticks.tick().await;
        let sent =
            (0..PARTITIONS).map(|partition| send(&producer, &topic, partition, written + partition as u64));
        for answer in try_join_all(sent.collect::<Outcome<Vec<_>>>()?).await? {
            answer.map_err(|(error, _)| error)?;
        }
        written += PARTITIONS as u64;
    }
    Ok(usize::try_from(written)?)
}

fn send(producer: &FutureProducer, topic: &str, partition: i32, number: u64) -> Outcome<DeliveryFuture> {
    let made = Made { account: format!("account-{partition}"), number, text: "x".repeat(820) };
    let message = codec::encode(&Envelope::new(made), "bench")?;
    let headers = message.headers.iter().fold(OwnedHeaders::new(), |headers, (key, value)| {
        headers.insert(Header { key, value: Some(&value[..]) })
    });
    let record = FutureRecord::to(topic).partition(partition).payload(&message.payload[..]).headers(headers);
    let record = record.key(message.key.as_deref().unwrap_or_default());
    Ok(producer.send_result(record).map_err(|(error, _)| error)?)
}
