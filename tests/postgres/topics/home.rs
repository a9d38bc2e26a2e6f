//! The database of a test.

use std::time::Duration;

use messagekit_postgres::PostgresStore;
use messagekit_tests::Database;
use messagekit_topics::Topics;

pub(crate) type Db = PostgresStore;

/// How many random lives the gate has time for.
pub(crate) const SEEDS: u64 = 12;

/// Of how many invoices of a year it has time for one.
pub(crate) const ONE_INVOICE_OF: usize = 5;

/// At how many places a call is dropped.
pub(crate) const PLACES: usize = 15;

/// A database that is opened several times, as by several processes.
pub(crate) struct Home(Database);

impl Home {
    pub(crate) async fn new() -> Self {
        Self(Database::fresh().await)
    }

    pub(crate) async fn topics(&self) -> Topics<Db> {
        Topics::of(self.0.store().await)
    }
}

/// Opens topics of a database of their own.
pub(crate) async fn topics() -> Topics<Db> {
    Home::new().await.topics().await
}

/// Closes the database for every handle.
pub(crate) async fn close(topics: &Topics<Db>) {
    topics.store().clone().close().await;
}

/// Lets time pass for all records that are there.
pub(crate) async fn pass(topics: &Topics<Db>, time: Duration) {
    let older = "UPDATE messagekit.topic_records SET stored_at = stored_at - $1 * interval '1 second'";
    let older = sqlx::query(older).bind(time.as_secs_f64());
    older.execute(topics.store().pool()).await.unwrap();
}

/// Returns the bytes of keys and payloads that the partitions count, and those that are there.
pub(crate) async fn bytes(topics: &Topics<Db>) -> (i64, i64) {
    let select = "SELECT (SELECT sum(bytes)::bigint FROM messagekit.topic_partitions),
        (SELECT coalesce(sum(octet_length(payload) + coalesce(octet_length(key), 0)), 0)::bigint FROM messagekit.topic_records)";
    sqlx::query_as(select).fetch_one(topics.store().pool()).await.unwrap()
}

/// Returns how many rows there are of records, and of what is kept about them.
pub(crate) async fn rows(topics: &Topics<Db>) -> i64 {
    let select = "SELECT (SELECT count(*) FROM messagekit.topic_records) + (SELECT count(*) FROM messagekit.topic_dedup_hashes)
        + (SELECT count(*) FROM messagekit.consumer_cursors) + (SELECT count(*) FROM messagekit.topic_waiting)
        + (SELECT count(*) FROM messagekit.topic_migrations) + (SELECT count(*) FROM messagekit.processed_messages WHERE consumer <> '')
        + (SELECT count(*) FROM messagekit.topics)";
    sqlx::query_scalar(select).fetch_one(topics.store().pool()).await.unwrap()
}
