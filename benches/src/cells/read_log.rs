//! L1: a topic of Kafka, read as a log.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::log::{Log, Page, PartitionStart};
use messagekit_kafka::Kafka;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tokio::sync::OnceCell;

use crate::frame::{Better, Cell, Contender, Goal, Ledger, Measured, Meter, Outcome, Plan, Role, Target};
use crate::resources::Topic;
use crate::settings::Settings;

pub(crate) const L1: Cell = Cell {
    id: "L1",
    title: "read a topic of Kafka as a log",
    figure: "records/s",
    better: Better::Higher,
    plan,
};

const RECORDS: usize = 1_000_000;
const BYTES: usize = 200;
const PARTITIONS: i32 = 12;
/// The most records of a page.
const PAGE: usize = 1_000;
const BARE: &str = "a bare consumer of the client library";
const OURS: &str = "Kafka::log";
/// Without a record for this time, the remaining ones are lost.
const PATIENCE: Duration = Duration::from_secs(60);

/// The topic that every contender reads.
type Shared = Arc<OnceCell<Topic>>;

fn plan(settings: Arc<Settings>) -> Plan {
    let records = settings.scaled(RECORDS);
    let shared = Shared::default();
    let with = |topic: &Shared| (Arc::clone(&settings), Arc::clone(topic));
    let (first, second) = (with(&shared), with(&shared));
    let contenders = vec![
        Contender::new("", BARE, Role::Limit, move || bare(first.clone(), records)),
        Contender::new("", OURS, Role::Ours, move || ours(second.clone(), records)),
    ];
    let goal = Goal {
        group: String::new(),
        figure: L1.figure,
        over: OURS,
        under: Some(BARE),
        target: Target::AtLeast(0.6),
    };
    let sizes = format!(
        "{records} records of {BYTES} bytes in {PARTITIONS} partitions, pages of {PAGE}, from the first record to the last"
    );
    Plan { sizes, contenders, goals: vec![goal] }
}

async fn bare((settings, shared): (Arc<Settings>, Shared), records: usize) -> Outcome<Measured> {
    let topic = filled(&settings, &shared, records).await?;
    let (brokers, name) = (settings.kafka()?.to_owned(), topic.name.clone());
    let meter = Meter::start(settings.parts());
    let (ledger, rate) = tokio::task::spawn_blocking(move || {
        let consumer: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", &brokers)
            .set("group.id", &name)
            .set("enable.auto.commit", "false")
            .create()?;
        let mut assigned = TopicPartitionList::new();
        for partition in 0..PARTITIONS {
            assigned.add_partition_offset(&name, partition, Offset::Beginning)?;
        }
        consumer.assign(&assigned)?;
        let mut arrivals = Arrivals::expecting(records);
        while !arrivals.is_complete() {
            let record = consumer.poll(PATIENCE).ok_or("no more records arrive")??;
            arrivals.see(record.partition(), record.offset(), record.payload().map_or(0, <[u8]>::len));
        }
        Outcome::Ok(arrivals.verdict())
    })
    .await??;
    let cpu = meter.per_100k(records);
    Ok(Measured::new(ledger).with(L1.figure, rate).with_all(cpu))
}

async fn ours((settings, shared): (Arc<Settings>, Shared), records: usize) -> Outcome<Measured> {
    let topic = filled(&settings, &shared, records).await?;
    let meter = Meter::start(settings.parts());
    let (log, name) = (Kafka::new(settings.kafka()?).log(), Arc::from(topic.name.as_str()));
    let starts: Vec<_> = (0..PARTITIONS).map(|partition| (partition, PartitionStart::Earliest)).collect();
    let mut reader = log.open(&name, &starts).await?;
    let mut arrivals = Arrivals::expecting(records);
    while !arrivals.is_complete() {
        let next = poll_fn(|cx| reader.poll_page(PAGE, cx));
        let page = tokio::time::timeout(PATIENCE, next).await.map_err(|_| "no more records arrive")??;
        if let Page::Records(read) = page {
            for record in read {
                arrivals.see(record.position.partition, record.position.offset, record.message.payload.len());
            }
        }
    }
    let (ledger, rate) = arrivals.verdict();
    let cpu = meter.per_100k(records);
    Ok(Measured::new(ledger).with(L1.figure, rate).with_all(cpu))
}

/// Returns the topic, which the first contender fills.
async fn filled<'a>(settings: &Settings, shared: &'a Shared, records: usize) -> Outcome<&'a Topic> {
    let fill = async || {
        let topic = Topic::of(settings.kafka()?, PARTITIONS).await?;
        let (brokers, name) = (settings.kafka()?.to_owned(), topic.name.clone());
        tokio::task::spawn_blocking(move || write(&brokers, &name, records)).await??;
        Outcome::Ok(topic)
    };
    shared.get_or_try_init(fill).await
}

fn write(brokers: &str, name: &str, records: usize) -> Outcome<()> {
    let producer: BaseProducer =
        ClientConfig::new().set("bootstrap.servers", brokers).set("linger.ms", "50").create()?;
    let payload: String = (0..BYTES).map(|_| fastrand::alphanumeric()).collect();
    for number in 0..records {
        let key = number.to_string();
        let partition = (number % PARTITIONS as usize) as i32;
        let mut record = BaseRecord::to(name).partition(partition).key(&key).payload(&payload);
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

/// Counts records, and compares each offset with the one before it in its partition.
struct Arrivals {
    expected: usize,
    next: Vec<i64>,
    ledger: Ledger,
    count: usize,
    bytes: usize,
    first: Option<Instant>,
}

impl Arrivals {
    fn expecting(expected: usize) -> Self {
        let next = vec![0; PARTITIONS as usize];
        Self { expected, next, ledger: Ledger::default(), count: 0, bytes: 0, first: None }
    }

    fn see(&mut self, partition: i32, offset: i64, bytes: usize) {
        self.first.get_or_insert_with(Instant::now);
        let next = &mut self.next[partition as usize];
        match offset.cmp(next) {
            std::cmp::Ordering::Less => self.ledger.doubled += 1,
            std::cmp::Ordering::Equal => {}
            std::cmp::Ordering::Greater => self.ledger.out_of_order += 1,
        }
        *next = offset + 1;
        self.count += 1;
        self.bytes += bytes;
    }

    fn is_complete(&self) -> bool {
        self.count >= self.expected
    }

    /// Returns the faults, and the records per second.
    fn verdict(mut self) -> (Ledger, f64) {
        let seconds = self.first.map_or(f64::NAN, |first| first.elapsed().as_secs_f64());
        self.ledger.lost += (self.expected * BYTES - self.bytes).div_ceil(BYTES) as u64;
        (self.ledger, self.count as f64 / seconds)
    }
}
