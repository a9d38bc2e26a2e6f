//! A topic, a database, and the members that copy one into the other.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Envelope, Event, Message, MessageId};
use messagekit_kafka::{Kafka, KafkaPublisher};
use messagekit_testkit::{eventually, unique};
use messagekit_tests::{Database, Launch, Program, StepTaken, make_topic, services};
use rdkafka::ClientConfig;
use sqlx::PgPool;
use tempfile::TempDir;

use crate::steady_supply::SteadySupply;
use crate::watch::Watch;

pub(crate) const PARTITIONS: i32 = 12;
/// The session timeout of members that freeze, far shorter than the deadline of their handlers.
pub(crate) const SESSION: Duration = Duration::from_secs(8);
/// The number of keys, enough for every partition.
const KEYS: usize = 96;
/// The time limit of a request to the broker.
pub(crate) const BROKER: Duration = Duration::from_secs(60);

/// Returns a record with a new id.
pub(crate) fn step(topic: &Arc<str>, key: &str) -> Message {
    let mut step = Envelope::new(StepTaken { key: key.to_owned() });
    step.event_id = MessageId::new();
    let message = codec::encode(&step, "storm").unwrap();
    Message { topic: topic.clone(), ..message }
}

/// The topic and database of a storm.
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
        let (name, topic) = (unique("storm"), format!("{}.{}", unique("test"), StepTaken::TOPIC));
        make_topic(&topic, PARTITIONS, &[]).await;
        let database = Database::fresh().await;
        let pool = database.store().await.pool().clone();
        let table = "CREATE TABLE applied (n bigint GENERATED ALWAYS AS IDENTITY, partition int NOT NULL, place bigint NOT NULL, member text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())";
        sqlx::raw_sql(table).execute(&pool).await.unwrap();
        let publisher = Kafka::new(services::kafka()).publisher().unwrap();
        let (slowest, folder) = (slowest.as_millis().to_string(), TempDir::new().unwrap());
        Self { name, topic: topic.into(), database, pool, publisher, published: 0, slowest, folder }
    }

    /// Starts a member. A static one joins again under its name. Without a session its settings are the defaults.
    pub(crate) fn member(&self, name: &str, is_static: bool, session: Option<Duration>) -> Program {
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
        let session = session.map(|session| session.as_millis().to_string());
        if let Some(session) = &session {
            settings.push(("SESSION", session));
        }
        Launch::of("member").named(name).variables(settings).log(&self.log(name)).start()
    }

    fn log(&self, name: &str) -> PathBuf {
        self.folder.path().join(format!("{name}.log"))
    }

    /// Publishes until `waiting` records wait.
    pub(crate) async fn supply(&mut self, waiting: usize) {
        while self.waiting().await < waiting {
            let steps: Vec<Message> = (0..KEYS).map(|key| step(&self.topic, &format!("k-{key}"))).collect();
            for published in self.publisher.publish(&steps).await {
                published.unwrap();
            }
            self.published += KEYS;
        }
    }

    /// Starts to publish to every partition, several times per second.
    pub(crate) fn steady_supply(&self) -> SteadySupply {
        SteadySupply::start(self.topic.clone())
    }

    /// Stops a steady supply and counts its records.
    pub(crate) fn end(&mut self, supply: SteadySupply) {
        self.published += supply.end();
    }

    /// Waits until a member has applied more records than before, while at least `waiting` records wait. It must not end by itself.
    pub(crate) async fn until_at_work(
        &mut self,
        member: &mut Program,
        name: &str,
        waiting: usize,
        patience: Duration,
    ) {
        let before = self.applied_by().await.get(name).copied().unwrap_or(0);
        eventually(&format!("{name} works"), patience, async || {
            member.is_alive_still();
            self.supply(waiting).await;
            self.applied_by().await.get(name).copied().unwrap_or(0) > before
        })
        .await;
        member.is_alive_still();
    }

    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Returns how many records no member has applied yet.
    pub(crate) async fn waiting(&self) -> usize {
        let applied: i64 =
            sqlx::query_scalar("SELECT count(*) FROM applied").fetch_one(&self.pool).await.unwrap();
        self.published.saturating_sub(usize::try_from(applied).unwrap())
    }

    /// Returns how many records each member has applied.
    pub(crate) async fn applied_by(&self) -> BTreeMap<String, i64> {
        let count = "SELECT member, count(*) FROM applied GROUP BY member";
        sqlx::query_as(count).fetch_all(&self.pool).await.unwrap().into_iter().collect()
    }

    /// Requires that each record was applied once, those of a partition in their order.
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
        let failed_messages: i64 = sqlx::query_scalar("SELECT count(*) FROM messagekit.failed_messages")
            .fetch_one(&self.pool)
            .await
            .unwrap();
        assert_eq!(failed_messages, 0, "failed_messages");
        rows.len()
    }

    /// Returns an observer, which requires that no partition with work stalls for `patience`.
    pub(crate) fn watch(&self, patience: Duration) -> Watch {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", services::kafka()).set("group.id", &self.name);
        let outside = Arc::new(config.set("enable.auto.commit", "false").create().unwrap());
        Watch { outside, topic: self.topic.clone(), pool: self.pool.clone(), patience }
    }
}
