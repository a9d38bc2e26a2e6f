//! The database of a session: one file.

use messagekit::Store;
use messagekit_sqlite::SqliteStore;
use messagekit_topics::Topics;
use tempfile::TempDir;

pub(crate) type Db = SqliteStore;

/// A file that is opened several times, as by several processes.
pub(crate) struct Home(TempDir);

impl Home {
    pub(crate) fn new() -> impl Future<Output = Self> {
        // Another database needs a connection for it.
        std::future::ready(Self(TempDir::new().unwrap()))
    }

    pub(crate) async fn topics(&self) -> Topics<Db> {
        Topics::of(SqliteStore::open(self.0.path().join("shop.db")).await.unwrap())
    }

    /// Runs statements of the user.
    pub(crate) async fn change(&self, sql: &'static str) {
        let topics = self.topics().await;
        let store = topics.store();
        let mut tx = store.begin().await.unwrap();
        tx.call(move |c| c.execute_batch(sql)).await.unwrap();
        store.commit(tx).await.unwrap();
        close(&topics).await;
    }
}

/// Closes the database for every handle.
pub(crate) async fn close(topics: &Topics<Db>) {
    topics.store().clone().close().await.unwrap();
}
