//! Topics in the order of their time, while their broker is killed and frozen in the middle.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::log::{OrderedReader, Start};
use messagekit::{Error, Position};
use messagekit_kafka::Kafka;
use messagekit_testkit::{DEADLINE, block_on, unique};
use messagekit_tests::broker_failures;
use messagekit_tests::services::{self, Frozen, Service};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::TURNS;
use crate::stage::LIMIT;
use crate::topic::Topic;

const PARTITIONS: i32 = 4;
/// How many records are read between two failures.
const BETWEEN: usize = 5_000;
/// A reader that has brought nothing for so long has nothing left of what it had fetched.
const WAITS: Duration = Duration::from_secs(2);
/// Longer than a controller waits for a broker: the one that goes on names no broker at first, and clients forget its address.
const FROZEN: Duration = Duration::from_secs(15);
/// How many are written when all of the past is read.
const NEW: usize = 400;

/// Two topics, and what they have in the order of time.
struct Topics {
    names: [Arc<str>; 2],
    ends: BTreeMap<(usize, i32), (i64, i64)>,
}

impl Topics {
    async fn make() -> Self {
        let mut names = [unique("ordered"), unique("ordered")];
        names.sort_unstable();
        for name in &names {
            Topic::make(name, PARTITIONS, LIMIT).await;
        }
        Self { names: names.map(Arc::from), ends: BTreeMap::new() }
    }

    /// Writes records, six of ten to one partition, and returns their positions in the order of time.
    fn write(&mut self, numbers: Range<usize>) -> Vec<Position> {
        let mut config = ClientConfig::new();
        // Small batches: a fetch brings whole ones.
        config.set("bootstrap.servers", services::kafka()).set("batch.num.messages", "50");
        config.set("enable.idempotence", "true");
        let producer: BaseProducer = config.create().unwrap();
        let (mut random, payload) = (fastrand::Rng::with_seed(numbers.start as u64), "x".repeat(200));
        let mut order = Vec::new();
        for number in numbers {
            let anywhere = (random.usize(..2), random.i32(0..PARTITIONS));
            let of = if random.u8(..10) < 6 { (1, 2) } else { anywhere };
            let late = if random.u8(..20) == 0 { random.i64(0..500) } else { 0 };
            let time = 1_000_000_000 + number as i64 * 10 - late;
            let record = BaseRecord::<str, str>::to(&self.names[of.0]).partition(of.1);
            producer.send(record.payload(&payload).timestamp(time)).map_err(|(error, _)| error).unwrap();
            let (offset, frontier) = self.ends.entry(of).or_insert((0, time));
            *frontier = time.max(*frontier);
            order.push((*frontier, of, *offset));
            *offset += 1;
        }
        producer.flush(DEADLINE).unwrap();
        order.sort_unstable();
        let names = &self.names;
        let position = |(_, (topic, partition), offset): (i64, (usize, i32), i64)| Position {
            topic: names[topic].clone(),
            partition,
            offset,
        };
        order.into_iter().map(position).collect()
    }

    /// Opens them with a client that fetches little ahead, so that most of the records are still at the broker.
    async fn open(&self) -> OrderedReader {
        let settings = [("queued.max.messages.kbytes", "40"), ("fetch.message.max.bytes", "20000")];
        let kafka = Kafka::new(services::kafka());
        let kafka = settings.into_iter().fold(kafka, |kafka, (key, value)| kafka.set(key, value).unwrap());
        let (log, reader) = (Arc::new(kafka.log()), OrderedReader::builder().batch_size(500).max_held(1_000));
        let reader = self
            .names
            .iter()
            .fold(reader, |reader, topic| reader.source(log.clone(), topic.clone(), Start::Earliest));
        reader.open().await.unwrap()
    }
}

/// What a reader has read.
struct Reading {
    reader: OrderedReader,
    read: Vec<Position>,
    /// The last error that it has reported.
    error: Option<Error>,
}

impl Reading {
    /// Polls once, and returns whether records came.
    async fn poll(&mut self) -> bool {
        match self.reader.poll(Duration::from_secs(1)).await {
            Ok(records) => {
                let before = self.read.len();
                self.read.extend(records.into_iter().map(|record| record.position));
                self.read.len() > before
            }
            Err(error) => {
                assert!(error.is_transient(), "{error}");
                self.error = Some(error);
                false
            }
        }
    }

    /// Reads until that many records came. Returns how long it took until the first of them.
    async fn until(&mut self, count: usize) -> Duration {
        let (began, mut last, mut first) = (Instant::now(), Instant::now(), None);
        while self.read.len() < count {
            if self.poll().await {
                first = first.or_else(|| Some(began.elapsed()));
                last = Instant::now();
            }
            assert!(
                last.elapsed() < DEADLINE,
                "{} records of {count}: {:?}, {:?}",
                self.read.len(),
                self.error,
                self.reader.partition_state()
            );
        }
        first.unwrap_or_default()
    }

    /// Reads for a time, whatever comes.
    async fn read_for(&mut self, time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {
            self.poll().await;
        }
    }

    /// Reads what it still has: until nothing has come for a while, whatever errors it reports.
    async fn until_it_waits(&mut self) {
        let mut last = Instant::now();
        while last.elapsed() < WAITS {
            if self.poll().await {
                last = Instant::now();
            }
        }
    }
}

#[test]
fn time_order_is_kept_over_every_broker_restart() {
    let _turn = TURNS.alone();
    block_on(async {
        let failures = broker_failures();
        let past = BETWEEN * (failures + 2);
        let mut topics = Topics::make().await;
        let expected = topics.write(0..past);
        let mut reading = Reading { reader: topics.open().await, read: Vec::new(), error: None };
        for failure in 1..=failures {
            reading.until(BETWEEN * failure).await;
            let is_frozen = failure % 3 == 2;
            if is_frozen {
                let frozen = Frozen::new(Service::Kafka);
                reading.read_for(FROZEN).await;
                drop(frozen);
            } else {
                services::kill(Service::Kafka);
                reading.until_it_waits().await;
                services::start(Service::Kafka);
            }
            let at = reading.read.len();
            assert!(!reading.reader.is_live() && at < past, "void: all of the past was fetched already");
            let pause = reading.until(at + 1).await;
            let how = if is_frozen { "frozen" } else { "killed" };
            println!("{how} at record {at} of {past}: the next one {pause:.1?} after it was back");
        }
        reading.until(past).await;
        reading.until_it_waits().await;
        assert!(reading.reader.is_live() && reading.read.len() == past);

        services::kill(Service::Kafka);
        reading.until_it_waits().await;
        services::start(Service::Kafka);
        let new = topics.write(past..past + NEW);
        let pause = reading.until(past + NEW).await;
        println!("killed when it was live: the next record {pause:.1?} after it was written");
        let (read, of_now) = reading.read.split_at(past);
        let wrong = read.iter().zip(&expected).position(|(read, due)| read != due);
        assert_eq!(wrong, None, "complete, sorted, none twice");
        // What is new comes as it arrives.
        let (mut of_now, mut new) = (of_now.to_vec(), new);
        let in_order = |one: &Position, other: &Position| {
            (&one.topic, one.partition).cmp(&(&other.topic, other.partition))
        };
        of_now.sort_by(in_order);
        new.sort_by(in_order);
        assert_eq!(of_now, new, "each partition in order, none twice");
    });
}
