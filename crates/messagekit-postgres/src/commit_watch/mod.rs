//! Waits for commits to this database, by any process.
//!
//! One watcher per store looks for all of its followers. Notices of other processes bring the next look forward; those that know nothing of
//! us are found by looking alone.

mod notices;
mod pace;
mod session;
mod watcher;

use messagekit::adapter::BoxFuture;
use messagekit::{Error, ErrorKind};
use messagekit_topic_store::CommitWatch;
use tokio::sync::watch;

pub(crate) use notices::{NOTIFY, Notices};
pub(crate) use watcher::{CommitWatcher, Watched};

use crate::PostgresStore;
use watcher::Subscription;

/// Waits for commits of this store and of others.
pub(crate) struct PgCommits {
    store: PostgresStore,
    watched: Watched,
    /// Commits of this store, which need no look.
    own: watch::Receiver<u64>,
    subscription: Option<Subscription>,
}

impl PgCommits {
    pub(crate) fn new(store: PostgresStore, watched: Watched) -> Self {
        let own = store.topics().commits();
        Self { store, watched, own, subscription: None }
    }

    /// Waits for the next commit that is watched. An end of the watcher is one: what was committed meanwhile is not known.
    async fn next(&mut self) -> Result<(), Error> {
        let Some(subscription) = &mut self.subscription else {
            // The caller looks at the records once more: a commit before this moment is not missed.
            self.subscription =
                Some(self.store.topics().watcher.subscribe(self.store.pool(), self.store.schema()));
            return Ok(());
        };
        let is_any = self.watched == Watched::Commits;
        let is_watching = tokio::select! {
            changed = self.own.changed(), if is_any => changed.is_ok(),
            is_watching = subscription.changed(self.watched) => is_watching,
        };
        if !is_watching {
            self.subscription = None;
        }
        Ok(())
    }
}

impl CommitWatch for PgCommits {
    fn changed(&mut self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            self.next().await?;
            if self.store.pool().is_closed() {
                return Err(Error::new(ErrorKind::Closed, "store is closed"));
            }
            Ok(())
        })
    }
}
