//! The database of a test: one file.

use std::time::Duration;

use messagekit::Store;
use messagekit_sqlite::SqliteStore;
use messagekit_topics::Topics;
use tempfile::TempDir;

pub(crate) type Db = SqliteStore;

/// No test is about the time of a transaction, and machines are slow.
const PATIENT: Duration = Duration::from_secs(60);

/// How many random lives the gate has time for.
pub(crate) const SEEDS: u64 = 60;

/// Of how many invoices of a year it has time for one.
pub(crate) const ONE_INVOICE_OF: usize = 1;

/// At how many places a call is dropped.
pub(crate) const PLACES: usize = 60;

/// A file that is opened several times, as by several processes.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> impl Future<Output = Self> {
        // Another database needs a connection for it.
        std::future::ready(Self(TempDir::new().unwrap()))
    }

    pub(crate) async fn topics(&self) -> Topics<Db> {
        let options = SqliteStore::options().transaction_timeout(PATIENT).busy_timeout(PATIENT);
        Topics::of(options.open(self.0.path().join("topics.db")).await.unwrap())
    }
}

/// Opens topics of a file of their own.
pub(crate) async fn topics() -> Topics<Db> {
    Topics::open(":memory:").await.unwrap()
}

/// Closes the database for every handle.
pub(crate) async fn close(topics: &Topics<Db>) {
    topics.clone().close().await.unwrap();
}

/// Lets time pass for all records that are there.
pub(crate) async fn pass(topics: &Topics<Db>, time: Duration) {
    let store = topics.store();
    let mut tx = store.begin().await.unwrap();
    let micros = i64::try_from(time.as_micros()).unwrap();
    let older = "UPDATE messagekit_topic_records SET created_at = created_at - ?1";
    tx.call(move |c| c.execute(older, [micros])).await.unwrap();
    store.commit(tx).await.unwrap();
}

/// Returns the bytes of keys and payloads that the partitions count, and those that are there.
pub(crate) async fn bytes(topics: &Topics<Db>) -> (i64, i64) {
    let select = "SELECT (SELECT sum(bytes) FROM messagekit_topic_partitions),
        (SELECT coalesce(sum(length(payload) + coalesce(length(key), 0)), 0) FROM messagekit_topic_records)";
    let store = topics.store();
    let mut tx = store.begin().await.unwrap();
    let read = move |c: &messagekit_sqlite::Connection<'_>| {
        c.query_row(select, [], |row| Ok((row.get(0)?, row.get(1)?)))
    };
    let found = tx.call(read).await.unwrap();
    store.rollback(tx).await.unwrap();
    found
}

/// Returns how many rows there are of records, and of what is kept about them.
pub(crate) async fn rows(topics: &Topics<Db>) -> i64 {
    let select = "SELECT (SELECT count(*) FROM messagekit_topic_records) + (SELECT count(*) FROM messagekit_dedup_hashes)
        + (SELECT count(*) FROM messagekit_consumer_cursors) + (SELECT count(*) FROM messagekit_record_claims)
        + (SELECT count(*) FROM messagekit_topic_migrations) + (SELECT count(*) FROM messagekit_processed_messages)
        + (SELECT count(*) FROM messagekit_topic_definitions)";
    let store = topics.store();
    let mut tx = store.begin().await.unwrap();
    let found = tx.call(move |c| c.query_row(select, [], |row| row.get(0))).await.unwrap();
    store.rollback(tx).await.unwrap();
    found
}
