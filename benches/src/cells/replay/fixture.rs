//! The topic that every contender reads.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use tokio::sync::OnceCell;

use crate::frame::Outcome;
use crate::resources::Topic;
use crate::settings::Settings;

pub(super) const FIGURE: &str = "records/s";
pub(super) const RECORDS: usize = 1_000_000;
pub(super) const BYTES: usize = 200;
pub(super) const PARTITIONS: i32 = 12;
/// The most records of an ordered batch.
pub(super) const BATCH: usize = 10_000;
/// Without a record for this time, the remaining ones are lost.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);

/// How the records lie in the partitions. Their times rise in each, a millisecond from record to record of the topic.
#[derive(Clone, Copy, Debug)]
pub(super) enum Spread {
    Even,
    /// 60 of 100 records are in the first partition.
    Skewed,
}

impl Spread {
    fn partition(self, number: usize) -> i32 {
        let partitions = PARTITIONS as usize;
        let partition = match self {
            Self::Even => number % partitions,
            Self::Skewed if number % 5 < 3 => 0,
            Self::Skewed => 1 + number / 5 % (partitions - 1),
        };
        partition as i32
    }
}

/// A topic of so many records, which the first contender fills.
#[derive(Clone)]
pub(super) struct Shared {
    settings: Arc<Settings>,
    topic: Arc<OnceCell<Topic>>,
    spread: Spread,
    pub(super) records: usize,
}

impl Shared {
    pub(super) fn new(settings: &Arc<Settings>, spread: Spread, records: usize) -> Self {
        Self { settings: Arc::clone(settings), topic: Arc::default(), spread, records }
    }

    pub(super) fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) fn brokers(&self) -> Outcome<String> {
        Ok(self.settings.kafka()?.to_owned())
    }

    /// Returns the name of the topic with its records.
    pub(super) async fn name(&self) -> Outcome<String> {
        let fill = async || {
            let topic = Topic::of(self.settings.kafka()?, PARTITIONS).await?;
            let (brokers, name, records, spread) =
                (self.brokers()?, topic.name.clone(), self.records, self.spread);
            tokio::task::spawn_blocking(move || write(&brokers, &name, records, spread)).await??;
            Outcome::Ok(topic)
        };
        Ok(self.topic.get_or_try_init(fill).await?.name.clone())
    }
}

fn write(brokers: &str, name: &str, records: usize, spread: Spread) -> Outcome<()> {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "50").create()?;
    let payload: String = (0..BYTES).map(|_| fastrand::alphanumeric()).collect();
    let begin = Timestamp::now().as_millisecond() - records as i64;
    for number in 0..records {
        let key = number.to_string();
        let record =
            BaseRecord::to(name).partition(spread.partition(number)).timestamp(begin + number as i64);
        let mut record = record.key(&key).payload(&payload);
        while let Err((error, refused)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(error.into());
            }
            producer.poll(Duration::from_millis(10));
            record = refused;
        }
    }
    Ok(producer.flush(PATIENCE)?)
}
