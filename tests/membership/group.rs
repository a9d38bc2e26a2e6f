//! A topic, a database, and the members that move one into the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use messagekit::{Envelope, Message, MessageId, Publisher, codec};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_testkit::{DEADLINE, unique};
use messagekit_tests::{Database, services};
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use serde::Serialize;
use sqlx::PgPool;
use tempfile::TempDir;

use crate::process::Process;

pub(crate) const PARTITIONS: i32 = 12;
/// So many keys that every partition has some.
const KEYS: usize = 96;
/// How long the broker may take.
const BROKER: Duration = Duration::from_secs(60);

#[derive(messagekit::Event, Serialize, serde::Deserialize)]
#[event(type = "storm.step.taken", key = "key")]
struct StepTaken {
    key: String,
}

/// The stage of a storm.
pub(crate) struct Group {
    pub(crate) name: String,
    topic: Arc<str>,
    database: Database,
    pool: PgPool,
    publisher: KafkaPublisher,
    published: usize,
    slowest: String,
    folder: TempDir,
}

impl Group {
    pub(crate) async fn new(slowest: Duration) -> Self {
        let (name, topic) = (unique("storm"), unique("steps"));
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", services::kafka()).create().unwrap();
        let new = NewTopic::new(&topic, PARTITIONS, TopicReplication::Fixed(1));
        let options = AdminOptions::new().operation_timeout(Some(BROKER));
        let end = Instant::now() + DEADLINE;
        while admin.create_topics([&new], &options).await.unwrap().iter().any(Result::is_err) {
            assert!(Instant::now() < end, "the topic is not made");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let database = Database::fresh().await;
        let pool = database.store().await.pool().clone();
        let table = "CREATE TABLE applied (n bigint GENERATED ALWAYS AS IDENTITY, partition int NOT NULL, place bigint NOT NULL, member text NOT NULL)";
        sqlx::raw_sql(table).execute(&pool).await.unwrap();
        let publisher = Kafka::new(services::kafka()).publisher().unwrap();
        let (slowest, folder) = (slowest.as_millis().to_string(), TempDir::new().unwrap());
        Self { name, topic: topic.into(), database, pool, publisher, published: 0, slowest, folder }
    }

    /// Starts a member; a static one comes back under its name.
    pub(crate) fn member(&self, name: &str, is_static: bool) -> Process {
        let brokers = services::kafka();
        let mut settings = vec![
            ("DATABASE", self.database.url()),
            ("BROKERS", &brokers),
            ("TOPIC", &self.topic),
            ("GROUP", &self.name),
            ("NAME", name),
            ("SLOWEST", &self.slowest),
        ];
        if is_static {
            settings.push(("STATIC", "yes"));
        }
        Process::start(&settings, &self.log(name))
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Publishes until so many wait.
    pub(crate) async fn supply(&mut self, waiting: usize) {
        while self.waiting().await < waiting {
            let steps: Vec<Message> = (0..KEYS)
                .map(|key| {
                    let mut step = Envelope::new(StepTaken { key: format!("k-{key}") });
                    step.event_id = MessageId::new();
                    let message = codec::encode(&step, "storm").unwrap();
                    Message { topic: self.topic.clone(), ..message }
                })
                .collect();
            for published in self.publisher.publish(&steps).await {
                published.unwrap();
            }
            self.published += KEYS;
        }
    }

    /// How many records nobody has applied yet.
    pub(crate) async fn waiting(&self) -> usize {
        let applied: i64 =
            sqlx::query_scalar("SELECT count(*) FROM applied").fetch_one(&self.pool).await.unwrap();
        self.published.saturating_sub(usize::try_from(applied).unwrap())
    }

    /// How many records each member has applied.
    pub(crate) async fn applied_by(&self) -> BTreeMap<String, i64> {
        let count = "SELECT member, count(*) FROM applied GROUP BY member";
        sqlx::query_as(count).fetch_all(&self.pool).await.unwrap().into_iter().collect()
    }

    /// Compares everything: each record was applied once, those of a partition in their order.
    pub(crate) async fn compare(&self) -> usize {
        let rows: Vec<(i32, i64)> = sqlx::query_as("SELECT partition, place FROM applied ORDER BY n")
            .fetch_all(&self.pool)
            .await
            .unwrap();
        let mut next: BTreeMap<i32, i64> = BTreeMap::new();
        for (partition, place) in &rows {
            let next = next.entry(*partition).or_default();
            assert_eq!(place, next, "partition {partition}");
            *next += 1;
        }
        assert_eq!((rows.len(), next.len()), (self.published, PARTITIONS as usize));
        let letters: i64 = sqlx::query_scalar("SELECT count(*) FROM messagekit.dead_letters")
            .fetch_one(&self.pool)
            .await
            .unwrap();
        assert_eq!(letters, 0, "letters");
        rows.len()
    }

    /// Looks from outside; no partition that has work may stand still for so long.
    pub(crate) fn watch(&self, patience: Duration) -> Watch {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", services::kafka()).set("group.id", &self.name);
        let outside = Arc::new(config.set("enable.auto.commit", "false").create().unwrap());
        Watch {
            outside,
            topic: self.topic.clone(),
            pool: self.pool.clone(),
            moved: BTreeMap::new(),
            patience,
            looks: 0,
        }
    }
}

/// Looks from outside, all the time.
pub(crate) struct Watch {
    outside: Arc<BaseConsumer>,
    topic: Arc<str>,
    pool: PgPool,
    /// How many records of each partition were applied, and since when as many.
    moved: BTreeMap<i32, (i64, Instant)>,
    patience: Duration,
    pub(crate) looks: usize,
}

impl Watch {
    /// No offset is past unfinished work, and no partition stands still.
    pub(crate) async fn look(&mut self) {
        let (outside, topic) = (self.outside.clone(), self.topic.clone());
        let committed = tokio::task::spawn_blocking(move || {
            let mut partitions = TopicPartitionList::new();
            partitions.add_partition_range(&topic, 0, PARTITIONS - 1);
            let committed = outside.committed_offsets(partitions, BROKER).ok()?;
            let offset = |offset| match offset {
                Offset::Offset(offset) => offset,
                _ => 0,
            };
            let elements = committed.elements();
            Some(elements.iter().map(|one| (one.partition(), offset(one.offset()))).collect::<Vec<_>>())
        });
        // The broker may be asked again a moment later.
        let Some(committed) = committed.await.unwrap() else { return };
        // Behind the offsets: what was committed before them is in the table by now.
        let of_partition = "SELECT count(DISTINCT place) FILTER (WHERE place < $2), count(DISTINCT place) FROM applied WHERE partition = $1";
        for (partition, offset) in committed {
            let (below, all): (i64, i64) = sqlx::query_as(of_partition)
                .bind(partition)
                .bind(offset)
                .fetch_one(&self.pool)
                .await
                .unwrap();
            assert_eq!(below, offset, "partition {partition} is committed past unfinished work");
            let now = Instant::now();
            let moved = self.moved.entry(partition).or_insert((all, now));
            if moved.0 != all {
                *moved = (all, now);
            }
            assert!(moved.1.elapsed() < self.patience, "partition {partition} stands still at {all}");
        }
        self.looks += 1;
    }
}
