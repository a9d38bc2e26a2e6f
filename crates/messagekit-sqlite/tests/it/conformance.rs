//! The conformance suite of all adapters, on a file.

use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Capabilities, NextOffset, Positions, Publisher, Source};
use messagekit::log::{Log, Page, PartitionStart};
use messagekit::{Message, MessageId, Store};
use messagekit_sqlite::{SqliteOptions, SqliteSource, SqliteStore, SqliteTx};
use messagekit_testkit::log::LogFixture;
use messagekit_testkit::relay::{RelayFixture, TOPICS};
use messagekit_testkit::store::{Audited, FailedMessagesFixture, OperatorsFixture, StoreFixture};
use messagekit_testkit::transport::TransportFixture;
use tempfile::TempDir;

use crate::support::patient;

/// A file of its own for each case.
#[derive(Clone)]
struct File {
    path: PathBuf,
    _folder: Arc<TempDir>,
}

impl File {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the test");
        Self { path: folder.path().join("suite.db"), _folder: Arc::new(folder) }
    }

    async fn open(&self) -> SqliteStore {
        patient().open(&self.path).await.expect("the file opens")
    }
}

/// The database that stores the positions of handled messages.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Effects {
    /// This file: the cursor moves in the handler's transaction.
    Here,
    /// Another database: settling moves the cursor.
    Elsewhere,
}

struct Transport {
    file: File,
    effects: Effects,
    store: Option<SqliteStore>,
}

impl Transport {
    async fn new(effects: Effects) -> Self {
        let file = File::new();
        let store = Some(file.open().await);
        Self { file, effects, store }
    }

    fn store(&self) -> &SqliteStore {
        self.store.as_ref().expect("only `reopen` takes it, and puts one back")
    }
}

impl TransportFixture for Transport {
    type Source = SqliteSource;

    fn capabilities(&self) -> Capabilities {
        self.store().topics(["any"]).capabilities()
    }

    fn source(&self, topics: &[Arc<str>]) -> SqliteSource {
        self.store().topics(topics.iter().cloned())
    }

    fn publisher(&self) -> Box<dyn Publisher> {
        Box::new(self.store().publisher())
    }

    async fn handled(&self, consumer: &str, next: &[NextOffset]) {
        if self.effects == Effects::Here {
            let mut tx = self.store().begin().await.expect("begins");
            self.store().advance(&mut tx, consumer, next).await.expect("the cursor is ours");
            self.store().commit(tx).await.expect("commits");
        }
    }

    async fn reopen(&mut self) {
        self.store = None;
        self.store = Some(self.file.open().await);
    }
}

#[derive(Clone)]
struct Rows {
    file: File,
    store: SqliteStore,
}

/// Options of a file whose topics have one partition.
fn one_partition() -> SqliteOptions {
    patient().partitions(NonZeroU32::MIN)
}

impl Rows {
    async fn new() -> Self {
        Self::open(patient()).await
    }

    async fn open(options: SqliteOptions) -> Self {
        let file = File::new();
        let store = options.open(&file.path).await.expect("the file opens");
        let mut tx = store.begin().await.expect("begins");
        tx.call(|c| {
            c.execute_batch(
                "CREATE TABLE effects (key TEXT NOT NULL) STRICT;
                 CREATE TABLE taken (name TEXT PRIMARY KEY) STRICT;
                 INSERT INTO taken VALUES ('name');",
            )
        })
        .await
        .expect("makes tables");
        store.commit(tx).await.expect("commits");
        Self { file, store }
    }
}

impl StoreFixture for Rows {
    type Store = SqliteStore;

    fn store(&self) -> SqliteStore {
        self.store.clone()
    }

    async fn second(&self) -> Option<SqliteStore> {
        Some(self.file.open().await)
    }

    fn has_second(&self) -> bool {
        true
    }

    async fn effect(&self, tx: &mut SqliteTx, key: &str) {
        let key = key.to_owned();
        tx.call(move |c| c.execute("INSERT INTO effects VALUES (?1)", [key])).await.expect("inserts");
    }

    async fn effects(&self, key: &str) -> u64 {
        let key = key.to_owned();
        let count = self.store.read(move |c| {
            c.query_row("SELECT count(*) FROM effects WHERE key = ?1", [key], |row| row.get::<_, i64>(0))
        });
        count.await.expect("counts").unsigned_abs()
    }

    fn can_swallow_errors(&self) -> bool {
        true
    }

    /// A constraint error alone does not end a SQLite transaction; this one ends it.
    async fn swallow_error(&self, tx: &mut SqliteTx) {
        let refused = tx.call(|c| c.execute("INSERT OR ROLLBACK INTO taken VALUES ('name')", [])).await;
        assert!(refused.is_err(), "the name is taken");
    }
}

impl FailedMessagesFixture for Rows {
    async fn audit(&self) -> Vec<Audited> {
        let rows = self.store.read(|c| {
            let select = "SELECT operator, through, request_id, action, ids, done FROM messagekit_admin_audit ORDER BY id";
            c.query_all(select, [], |row| {
                let ids: String = row.get(4)?;
                Ok(Audited {
                    by: row.get(0)?,
                    through: row.get(1)?,
                    request_id: row.get(2)?,
                    action: row.get(3)?,
                    ids: serde_json::from_str(&ids).expect("a list of numbers"),
                    done: row.get::<_, i64>(5)?.unsigned_abs(),
                })
            })
        });
        rows.await.expect("reads the audit")
    }

    async fn forget_marker(&self, consumer: &str, id: &MessageId) {
        let (consumer, id) = (consumer.to_owned(), id.as_str().to_owned());
        let mut tx = self.store.begin().await.expect("begins");
        let delete = "DELETE FROM messagekit_processed_messages WHERE message_id = ?2
            AND consumer_id = (SELECT id FROM messagekit_consumers WHERE name = ?1)";
        tx.call(move |c| c.execute(delete, [consumer, id])).await.expect("deletes");
        self.store.commit(tx).await.expect("commits");
    }
}

impl OperatorsFixture for Rows {
    async fn events(&self, topic: &str) -> Vec<Message> {
        let Ok(bounds) = self.store.bounds(topic).await else { return Vec::new() };
        let (topic, mut events) = (Arc::from(topic), Vec::new());
        for partition in bounds {
            let mut reader = self
                .store
                .open(&topic, &[(partition.partition, PartitionStart::Earliest)])
                .await
                .expect("opens");
            while let Page::Records(records) =
                std::future::poll_fn(|cx| reader.poll_page(100, cx)).await.expect("reads")
            {
                events.extend(records.into_iter().map(|record| record.message));
            }
        }
        events
    }

    async fn failures(&self) -> Vec<(String, String, String)> {
        let rows = self.store.read(|c| {
            let select = "SELECT event_id, scope, reason FROM messagekit_outbox_failures";
            c.query_all(select, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
        });
        rows.await.expect("reads the notes")
    }

    async fn age(&self, consumer: &str, topic: &str, by: Duration) {
        let (consumer, topic) = (consumer.to_owned(), topic.to_owned());
        let by = i64::try_from(by.as_micros()).expect("some days");
        let mut tx = self.store.begin().await.expect("begins");
        tx.call(move |c| {
            c.execute(
                "UPDATE messagekit_processed_messages SET processed_at = processed_at - ?2
                 WHERE consumer_id = (SELECT id FROM messagekit_consumers WHERE name = ?1)",
                (consumer, by),
            )?;
            c.execute(
                "UPDATE messagekit_topic_records SET created_at = created_at - ?2 WHERE pos >> 40 IN (
                   SELECT p.id FROM messagekit_topic_partitions p JOIN messagekit_topics t ON t.id = p.topic_id WHERE t.name = ?1)",
                (topic, by),
            )
        })
        .await
        .expect("updates");
        self.store.commit(tx).await.expect("commits");
    }
}

mod transport_with_the_handlers_rows_here {
    messagekit_testkit::transport_cases!(super::Transport::new(super::Effects::Here).await);
}

mod transport_with_the_handlers_rows_elsewhere {
    messagekit_testkit::transport_cases!(super::Transport::new(super::Effects::Elsewhere).await);
}

mod store {
    messagekit_testkit::store_cases!(super::Rows::new().await);
}

impl LogFixture for Rows {
    fn log(&self) -> Arc<dyn Log> {
        Arc::new(self.store.clone())
    }

    async fn another_process(&self) -> SqliteStore {
        one_partition().open(&self.file.path).await.expect("the file opens")
    }

    async fn delete_before(&self, topic: &str, offset: i64) {
        let topic = topic.to_owned();
        let mut tx = self.store.begin().await.expect("begins");
        tx.call(move |c| {
            let update = "UPDATE messagekit_topic_partitions SET log_start = ?2
                WHERE topic_id = (SELECT id FROM messagekit_topics WHERE name = ?1) RETURNING id << 40";
            let first: i64 = c.query_row(update, (topic, offset), |row| row.get(0))?;
            c.execute(
                "DELETE FROM messagekit_topic_records WHERE pos BETWEEN ?1 AND ?2",
                (first, first + offset - 1),
            )
        })
        .await
        .expect("deletes");
        self.store.commit(tx).await.expect("commits");
    }
}

mod log {
    messagekit_testkit::log_cases!(super::Rows::open(super::one_partition()).await);
}

/// A file with relayed topics.
#[derive(Clone)]
struct Relayed {
    file: File,
    store: SqliteStore,
}

impl Relayed {
    async fn new() -> Self {
        let file = File::new();
        let store = patient().relayed_topics(TOPICS).open(&file.path).await;
        Self { file, store: store.expect("the file opens") }
    }
}

impl RelayFixture for Relayed {
    type Store = SqliteStore;

    fn store(&self) -> SqliteStore {
        self.store.clone()
    }

    async fn second(&self) -> SqliteStore {
        self.file.open().await
    }
}

mod relay {
    messagekit_testkit::relay_cases!(super::Relayed::new().await);
}
