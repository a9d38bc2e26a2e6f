//! The topics of a projection: their past, in which one partition has most of the records, and what a writer adds to them.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use messagekit::headers;
use messagekit_testkit::{eventually, unique};
use messagekit_tests::{make_topic, services};
use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use super::SOON;

const TOPICS: usize = 4;
const PARTITIONS: i32 = 12;
/// How long ago the past began: far enough that all of it lies before what is written meanwhile.
const AGO: Duration = Duration::from_secs(3_600);

/// Where a record is, with its time in milliseconds.
#[derive(Clone, Copy)]
pub(crate) struct Written {
    topic: usize,
    partition: i32,
    offset: i64,
    time: i64,
}

impl Written {
    /// Returns its partition.
    pub(crate) fn partition(&self) -> (usize, i32) {
        (self.topic, self.partition)
    }

    /// Returns its offset.
    pub(crate) fn offset(&self) -> i64 {
        self.offset
    }
}

/// Four topics. The number of a record is its index here, and its payload.
pub(crate) struct History {
    /// By name.
    pub(crate) topics: Vec<String>,
    pub(crate) records: Vec<Written>,
    producer: BaseProducer,
    ends: BTreeMap<(usize, i32), i64>,
    random: fastrand::Rng,
}

impl History {
    pub(crate) async fn new() -> Self {
        let mut topics: Vec<String> = (0..TOPICS).map(|_| unique("number")).collect();
        topics.sort_unstable();
        for topic in &topics {
            make_topic(topic, PARTITIONS, &[]).await;
        }
        let mut config = ClientConfig::new();
        // Repeated sends keep their order and leave no second record, so that offsets are known here.
        config.set("bootstrap.servers", services::kafka()).set("enable.idempotence", "true");
        config.set("linger.ms", "5");
        let producer: BaseProducer = config.create().unwrap();
        until_known(&producer, &topics).await;
        let random = fastrand::Rng::with_seed(17);
        Self { topics, records: Vec::new(), producer, ends: BTreeMap::new(), random }
    }

    /// Writes a past. Six of ten records are in one partition, and times go back now and then.
    pub(crate) fn write_past(&mut self, records: usize) {
        let began = (Timestamp::now() - AGO).as_millisecond();
        for number in 0..records {
            let (topic, partition) = if self.random.u8(..10) < 6 { (1, 7) } else { self.anywhere() };
            let late = if self.random.u8(..50) == 0 { self.random.i64(0..2_000) } else { 0 };
            let since = AGO.as_millis() as i64 / 2 * number as i64 / records as i64;
            self.write(topic, partition, began + since - late);
        }
        self.delivered();
    }

    /// Writes records of now until it is stopped.
    pub(crate) fn go_on(mut self) -> Writing {
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stop = is_stopped.clone();
        let thread = std::thread::spawn(move || {
            while !is_stopped.load(Relaxed) {
                let (topic, partition) = self.anywhere();
                self.write(topic, partition, Timestamp::now().as_millisecond());
                self.producer.poll(Duration::ZERO);
                // The pace of the writer: a reader can follow.
                std::thread::sleep(Duration::from_millis(2));
            }
            self.delivered();
            self
        });
        Writing { stop, thread }
    }

    /// Returns the numbers of the first records, as an ordered reader releases them: by the greatest time that their partition has shown, topic,
    /// partition and offset.
    pub(crate) fn in_order(&self, records: usize) -> Vec<usize> {
        let mut frontiers: BTreeMap<(usize, i32), i64> = BTreeMap::new();
        let frontier = |written: &Written| {
            let frontier = frontiers.entry(written.partition()).or_insert(written.time);
            *frontier = written.time.max(*frontier);
            *frontier
        };
        let times: Vec<i64> = self.records[..records].iter().map(frontier).collect();
        let mut numbers: Vec<usize> = (0..records).collect();
        let place = |number: usize| {
            let written = &self.records[number];
            (times[number], written.partition(), written.offset)
        };
        numbers.sort_unstable_by(|one, other| -> Ordering { place(*one).cmp(&place(*other)) });
        numbers
    }

    /// Waits until the broker has each record where it is expected.
    fn delivered(&self) {
        self.producer.flush(SOON).unwrap();
        for ((topic, partition), end) in &self.ends {
            assert_eq!(self.bounds(*topic, *partition), (0, *end), "partition {partition} of topic {topic}");
        }
    }

    /// Returns the bounds of a partition. The broker refuses the question while it has dropped out of its own cluster.
    fn bounds(&self, topic: usize, partition: i32) -> (i64, i64) {
        let until = Instant::now() + SOON;
        loop {
            match self.producer.client().fetch_watermarks(&self.topics[topic], partition, SOON) {
                Ok(bounds) => return bounds,
                Err(error) => assert!(Instant::now() < until, "{error}"),
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn anywhere(&mut self) -> (usize, i32) {
        (self.random.usize(..TOPICS), self.random.i32(0..PARTITIONS))
    }

    fn write(&mut self, topic: usize, partition: i32, time: i64) {
        let (text, id) = (self.records.len().to_string(), unique("m"));
        let headers = OwnedHeaders::new()
            .insert(Header { key: headers::ID, value: Some(&*id) })
            .insert(Header { key: headers::EVENT_TYPE, value: Some("shop.number.noted") });
        let mut record = BaseRecord::<str, str>::to(&self.topics[topic]).partition(partition);
        record = record.payload(&text).timestamp(time).headers(headers);
        while let Err((error, back)) = self.producer.send(record) {
            assert_eq!(error, KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull));
            self.producer.poll(Duration::from_millis(10));
            record = back;
        }
        let end = self.ends.entry((topic, partition)).or_default();
        self.records.push(Written { topic, partition, offset: *end, time });
        *end += 1;
    }
}

/// Waits until the producer knows all partitions: it gives up records of those that it does not know.
async fn until_known(producer: &BaseProducer, topics: &[String]) {
    for topic in topics {
        eventually("its partitions are known", SOON, async || {
            let metadata = producer.client().fetch_metadata(Some(topic), SOON).unwrap();
            let partitions = metadata.topics()[0].partitions();
            partitions.len() == PARTITIONS as usize && partitions.iter().all(|known| known.leader() >= 0)
        })
        .await;
    }
}

/// A writer that goes on.
pub(crate) struct Writing {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<History>,
}

impl Writing {
    /// Stops it, and returns what is written.
    pub(crate) fn stop(self) -> History {
        self.stop.store(true, Relaxed);
        self.thread.join().unwrap()
    }
}
