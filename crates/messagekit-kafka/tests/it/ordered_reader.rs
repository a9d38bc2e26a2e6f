//! Topics in the order of their time, while the leaders of their partitions move, and while a broker is away.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::Position;
use messagekit::log::{OrderedReader, Start};
use messagekit_kafka::Kafka;
use messagekit_testkit::{DEADLINE, block_on, unique};
use rdkafka::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::mock::Mock;

const BROKERS: i32 = 3;
const PARTITIONS: i32 = 3;
const RECORDS: usize = 6_000;
const BATCH: usize = 100;
/// After how many records the next fault comes.
const EVERY: usize = 600;

/// Two topics in a cluster of three brokers.
struct Cluster {
    mock: Mock,
    topics: [Arc<str>; 2],
    /// What is in them, in the order of time.
    expected: Vec<Position>,
}

impl Cluster {
    fn with_records() -> Self {
        let mock = Mock::of_brokers(BROKERS);
        let mut topics = [unique("topic"), unique("topic")];
        topics.sort_unstable();
        topics.iter().for_each(|topic| mock.create_topic(topic, PARTITIONS));
        let topics = topics.map(Arc::from);
        let expected = fill(mock.servers(), &topics);
        Self { mock, topics, expected }
    }

    /// Returns settings of a client that fetches little ahead, so that most of the records are still at their brokers.
    fn kafka(&self) -> Kafka {
        let settings = [("queued.max.messages.kbytes", "20"), ("fetch.message.max.bytes", "5000")];
        settings.into_iter().fold(self.mock.kafka(), |kafka, (key, value)| kafka.set(key, value).unwrap())
    }

    /// Gives each partition another leader.
    fn move_leaders(&self, round: i32) {
        for (topic, partition) in
            self.topics.iter().flat_map(|topic| (0..PARTITIONS).map(move |of| (topic, of)))
        {
            let (topic, leader) = (topic.clone(), (round + partition) % BROKERS + 1);
            self.mock.call(move |cluster| cluster.partition_leader(&topic, partition, Some(leader))).unwrap();
        }
    }
}

/// Writes the records: most of them to one partition, and some with a time that goes back. Returns their order.
fn fill(servers: &str, topics: &[Arc<str>; 2]) -> Vec<Position> {
    // Small batches: a fetch brings whole ones.
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("batch.num.messages", "20");
    let producer: BaseProducer = config.create().unwrap();
    let payload = "x".repeat(200);
    // The low bits of such numbers are hardly random.
    let mut seed: u32 = 5;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 16) % below
    };
    let mut partitions: BTreeMap<(usize, i32), (i64, i64)> = BTreeMap::new();
    let mut order = Vec::new();
    for number in 0..RECORDS as i64 {
        let skewed = random(10) < 6;
        let of = if skewed { (0, 2) } else { (random(2) as usize, random(PARTITIONS as u32) as i32) };
        let time = 1_000_000 + number * 10 - if random(20) == 0 { i64::from(random(500)) } else { 0 };
        let record =
            BaseRecord::<str, str>::to(&topics[of.0]).partition(of.1).payload(&payload).timestamp(time);
        producer.send(record).map_err(|(error, _)| error).unwrap();
        let (offset, frontier) = partitions.entry(of).or_insert((0, time));
        *frontier = time.max(*frontier);
        order.push((*frontier, of, *offset));
        *offset += 1;
    }
    producer.flush(DEADLINE).unwrap();
    order.sort_unstable();
    let position = |(_, (topic, partition), offset): (i64, (usize, i32), i64)| Position {
        topic: topics[topic].clone(),
        partition,
        offset,
    };
    order.into_iter().map(position).collect()
}

/// Reads the past while a fault comes again and again, and returns how long the reader stood still after one, at most.
async fn read_while(cluster: &Cluster, mut fault: impl FnMut(i32)) -> Duration {
    let log = Arc::new(cluster.kafka().log());
    let reader = OrderedReader::builder().batch_size(BATCH).max_held(2 * BATCH);
    let reader = cluster
        .topics
        .iter()
        .fold(reader, |reader, topic| reader.source(log.clone(), topic.clone(), Start::Earliest));
    let mut reader = reader.open().await.unwrap();
    let (mut read, mut faults, mut longest) = (Vec::new(), 0, Duration::ZERO);
    let mut since = Instant::now();
    while !reader.is_live() {
        if read.len() >= (faults as usize + 1) * EVERY && read.len() < RECORDS {
            fault(faults);
            faults += 1;
            since = Instant::now();
        }
        match reader.poll(Duration::from_secs(1)).await {
            Ok(records) if records.is_empty() => {
                assert!(since.elapsed() < DEADLINE, "{} records", read.len());
            }
            Ok(records) => {
                read.extend(records.into_iter().map(|record| record.position));
                longest = longest.max(since.elapsed());
                since = Instant::now();
            }
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
    }
    assert!(faults as usize >= RECORDS / EVERY - 1, "void: {faults} faults came before the end");
    let wrong = read.iter().zip(&cluster.expected).position(|(read, due)| read != due);
    assert_eq!((read.len(), wrong), (RECORDS, None), "complete, sorted, none twice");
    longest
}

#[test]
fn time_order_is_kept_while_leaders_move() {
    block_on(async {
        let cluster = Cluster::with_records();
        let longest = read_while(&cluster, |round| cluster.move_leaders(round)).await;
        println!("it stood still for {longest:.1?} at most");
    });
}

#[test]
fn time_order_is_kept_while_brokers_go_and_come_back() {
    block_on(async {
        let cluster = Cluster::with_records();
        let longest = read_while(&cluster, |round| {
            // One is away, and others lead its partitions, until the next one goes.
            let (gone, back) = (round % BROKERS + 1, (round + BROKERS - 1) % BROKERS + 1);
            cluster.mock.call(move |cluster| cluster.broker_up(back)).unwrap();
            cluster.mock.call(move |cluster| cluster.broker_down(gone)).unwrap();
            for topic in cluster.topics.clone() {
                let leader = (round + 1) % BROKERS + 1;
                let call = move |cluster: &crate::mock::Cluster| {
                    (0..PARTITIONS)
                        .try_for_each(|partition| cluster.partition_leader(&topic, partition, Some(leader)))
                };
                cluster.mock.call(call).unwrap();
            }
        })
        .await;
        println!("it stood still for {longest:.1?} at most");
    });
}
