//! A file whose topic is relayed, and helpers for it.

use std::time::Duration;

use messagekit::adapter::{OutboxRows, WithoutRelay};
use messagekit::log::Log;
use messagekit::relay::{OutboxReader, Page, ShardRead};
use messagekit::{ErrorKind, Message, Store, headers};
use messagekit_sqlite::{SqliteStore, rusqlite};
use messagekit_testkit::DEADLINE;
use tempfile::TempDir;

use crate::support::patient;

pub(super) const TOPIC: &str = "orders.order";

pub(super) const LEASE: Duration = Duration::from_secs(600);

pub(super) fn event(id: &str) -> Message {
    Message::new(TOPIC, "{}").with_key("k").with_header(headers::ID, id.to_owned())
}

pub(super) async fn write(store: &SqliteStore, id: &str) {
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, &[event(id)]).await.unwrap();
    store.commit(tx).await.unwrap();
}

pub(super) async fn write_after(store: &SqliteStore, id: &str, delay: Duration) {
    let mut tx = store.begin().await.unwrap();
    store.write_after(&mut tx, &[event(id)], delay, WithoutRelay::Refuse).await.unwrap();
    store.commit(tx).await.unwrap();
}

pub(super) async fn page(store: &SqliteStore) -> Page {
    let leases = store.lease("r1", LEASE).await.unwrap();
    let wanted: Vec<ShardRead> =
        leases.held.iter().map(|lease| ShardRead { lease: *lease, above: i64::MIN }).collect();
    store.pending("r1", &wanted, &[], &[], 1_000).await.unwrap()
}

pub(super) async fn pending(store: &SqliteStore) -> Vec<String> {
    let page = page(store).await;
    page.rows.iter().map(|row| row.message.headers.text(headers::ID).unwrap().to_owned()).collect()
}

pub(super) async fn records(store: &SqliteStore) -> i64 {
    match store.bounds(TOPIC).await {
        Ok(bounds) => bounds.iter().map(|bounds| bounds.end).sum(),
        Err(error) if error.kind() == ErrorKind::NotFound => 0,
        Err(error) => panic!("{error}"),
    }
}

pub(super) struct File(TempDir);

impl File {
    pub(super) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(super) fn path(&self) -> std::path::PathBuf {
        self.0.path().join("shop.db")
    }

    pub(super) async fn open(&self) -> SqliteStore {
        patient().open(self.path()).await.unwrap()
    }

    pub(super) async fn relayed(&self) -> SqliteStore {
        patient().relayed_topics([TOPIC]).open(self.path()).await.unwrap()
    }
}

/// Changes a file as another program could.
pub(super) fn tamper(file: &File, sql: &str) {
    let conn = rusqlite::Connection::open(file.path()).unwrap();
    conn.busy_timeout(DEADLINE).unwrap();
    conn.execute_batch(sql).unwrap();
}
