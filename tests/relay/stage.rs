//! A database, a topic and relays for one test.

use std::path::{Path, PathBuf};

use messagekit::adapter::OutboxRows;
use messagekit::{Message, Store, headers};
use messagekit_postgres::PostgresStore;
use messagekit_testkit::{DEADLINE, eventually, unique};
use messagekit_tests::{Caller, Database, Launch, Program, services};
use serde_json::Value;
use tempfile::TempDir;

use crate::command::messagekit;
use crate::topic::Topic;

/// The largest record that the topic accepts.
pub(crate) const LIMIT: usize = 300_000;

/// The id of the event that the broker refuses.
pub(crate) const POISON: &str = "poison";

/// Returns the relay settings of the tests, with this broker.
pub(crate) fn settings(brokers: &str) -> String {
    // Batches stay below the limit of the topic, which refuses a batch as a whole.
    format!(
        "[relay]\nlease = \"2s\"\nbatch = 100\n[kafka]\nbrokers = [\"{brokers}\"]\n\
         properties = {{ \"batch.size\" = \"100000\", \"retry.backoff.max.ms\" = \"100\" }}\n"
    )
}

/// Returns a relay of a database.
pub(crate) fn relay(name: &str, config: &Path, database: &str) -> Launch {
    let arguments = ["relay", "--name", name, "--database", database, "--listen", "127.0.0.1:0", "--config"];
    Launch::of("messagekit").named(name).arguments(&arguments).path(config)
}

/// Returns status and body of a relay's readiness, or `None` while it does not answer.
pub(crate) fn health(address: &str) -> Option<(u16, Value)> {
    let (status, report) = Caller::of(address).answer("/health/ready")?;
    Some((status, serde_json::from_str(&report).unwrap()))
}

/// Waits until `says` accepts a relay's readiness.
pub(crate) async fn reports(
    relay: &mut Program,
    address: &str,
    what: &str,
    says: impl Fn(u16, &Value) -> bool,
) {
    eventually(what, DEADLINE, async || {
        relay.is_alive_still();
        health(address).is_some_and(|(status, report)| says(status, &report))
    })
    .await;
}

pub(crate) struct Stage {
    pub(crate) database: Database,
    pub(crate) store: PostgresStore,
    pub(crate) topic: Topic,
    folder: TempDir,
}

impl Stage {
    /// Creates them. A relay publishes the outbox.
    pub(crate) async fn new(partitions: i32) -> Self {
        let database = Database::fresh().await;
        messagekit(&["migrate", "--relay"], database.url());
        let topic = Topic::make(&unique("relay"), partitions, LIMIT).await;
        let stage = Self { store: database.store().await, database, topic, folder: TempDir::new().unwrap() };
        stage.publish_to(&services::kafka());
        stage
    }

    /// Sets the broker of relays that start from now on.
    pub(crate) fn publish_to(&self, brokers: &str) {
        self.configure(&settings(brokers));
    }

    /// Sets the settings of relays that start from now on.
    pub(crate) fn configure(&self, settings: &str) {
        std::fs::write(self.config(), settings).unwrap();
    }

    /// Returns an event that is larger than the topic accepts, and that compression does not shrink.
    pub(crate) fn poison(&self, key: &str) -> Message {
        let mut dice = fastrand::Rng::with_seed(1);
        self.event(key, POISON, std::iter::repeat_with(|| dice.u8(..)).take(2 * LIMIT).collect())
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("relay.toml")
    }

    /// Starts a relay.
    pub(crate) fn relay(&self, name: &str) -> Program {
        self.relay_with(name, &[])
    }

    /// Starts a relay with additional variables.
    pub(crate) fn relay_with(&self, name: &str, variables: &[(&str, &str)]) -> Program {
        relay(name, &self.config(), self.database.url()).variables(variables.iter().copied()).start()
    }

    /// Starts a relay of which one call in a hundred fails.
    pub(crate) fn flaky(&self, name: &str) -> Program {
        let (database, brokers) = (self.database.url(), services::kafka());
        let variables = [("NAME", name), ("DATABASE", database), ("BROKERS", &brokers)];
        Launch::of("flaky-relay").named(name).variables(variables).start()
    }

    /// Starts a relay on another database.
    pub(crate) fn relay_on(&self, database: &str) -> Program {
        relay("elsewhere", &self.config(), database).start()
    }

    /// Starts a relay that aborts at a crash point.
    pub(crate) fn doomed(&self, at: &str) -> Program {
        relay("doomed", &self.config(), self.database.url()).crash_at(Some(at)).start()
    }

    /// Returns an event of this topic.
    pub(crate) fn event(&self, key: &str, id: &str, payload: Vec<u8>) -> Message {
        Message::new(self.topic.name.as_str(), payload)
            .with_key(key.to_owned())
            .with_header(headers::ID, id.to_owned())
            .with_header(headers::EVENT_TYPE, "orders.order.placed")
    }

    /// Commits events in one transaction.
    pub(crate) async fn write(&self, events: &[Message]) {
        let mut tx = self.store.begin().await.unwrap();
        self.store.write(&mut tx, events).await.unwrap();
        self.store.commit(tx).await.unwrap();
    }

    pub(crate) async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(self.store.pool()).await.unwrap()
    }

    pub(crate) async fn pending(&self) -> i64 {
        self.count("SELECT count(*) FROM messagekit.outbox_pending").await
    }

    pub(crate) async fn rejected(&self) -> i64 {
        self.count("SELECT count(*) FROM messagekit.outbox_rejected").await
    }

    /// Returns how many events wait in the shards of a relay.
    pub(crate) async fn waits_for(&self, relay: &str) -> i64 {
        let sql =
            "SELECT count(*) FROM messagekit.outbox_pending p JOIN messagekit.relay_shards s USING (shard)
          WHERE s.owner LIKE $1 || '-%'";
        sqlx::query_scalar(sql).bind(relay).fetch_one(self.store.pool()).await.unwrap()
    }

    /// Returns how many shards a relay holds in the database.
    pub(crate) async fn shards_of(&self, relay: &str) -> i64 {
        let sql = "SELECT count(*) FROM messagekit.relay_shards WHERE owner LIKE $1 || '-%'";
        sqlx::query_scalar(sql).bind(relay).fetch_one(self.store.pool()).await.unwrap()
    }

    /// Waits until every publishable event is published.
    pub(crate) async fn until_published(&self) {
        eventually("every event has left", 2 * DEADLINE, async || self.pending().await == 0).await;
    }
}
