//! Waits for commits to this database, by any process.

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::log::CommitWatch;
use messagekit::{Error, ErrorKind};
use tokio::sync::watch;

use crate::PostgresStore;
use crate::error::from_sqlx;

/// Which transactions have ended: it differs after each commit.
const SNAPSHOT: &str = "SELECT pg_current_snapshot()::text";

/// The time between two looks: while transactions end, and while the server is idle.
const BUSY: Duration = Duration::from_millis(5);
const IDLE: Duration = Duration::from_millis(250);

/// Waits for this store's commits, and looks for those of others.
pub(crate) struct PgCommits {
    store: PostgresStore,
    own: watch::Receiver<u64>,
    seen: Option<String>,
    interval: Duration,
}

impl PgCommits {
    pub(crate) fn new(store: PostgresStore) -> Self {
        let own = store.topics().commits();
        Self { store, own, seen: None, interval: BUSY }
    }

    /// Returns whether a transaction has ended since the last look.
    async fn look(&mut self) -> Result<bool, Error> {
        let snapshot: Result<String, Error> = self
            .store
            .read(|mut connection| async move {
                sqlx::query_scalar(SNAPSHOT).fetch_one(&mut *connection).await.map_err(from_sqlx)
            })
            .await;
        let snapshot = match snapshot {
            Ok(snapshot) => snapshot,
            // A reader that asks a database that is down learns of it by its own question.
            Err(error) if error.kind() != ErrorKind::Closed => return Ok(true),
            Err(error) => return Err(error),
        };
        let has_changed = self.seen.as_ref() != Some(&snapshot);
        self.seen = Some(snapshot);
        Ok(has_changed)
    }
}

impl CommitWatch for PgCommits {
    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            loop {
                if let Ok(changed) = tokio::time::timeout(self.interval, self.own.changed()).await {
                    self.interval = BUSY;
                    let closed = || Error::new(ErrorKind::Closed, "store is closed");
                    return changed.map_err(|_| closed());
                }
                if self.look().await? {
                    self.interval = BUSY;
                    return Ok(());
                }
                self.interval = (self.interval * 5 / 4).min(IDLE);
            }
        })
    }
}
