//! Periodic checkpoints of the log position of each database.

use std::sync::Arc;
use std::time::Duration;

use messagekit::{Shutdown, chain};

use super::dependencies::Outboxes;
use crate::database::DEADLINE;

/// The interval between checkpoints, over all processes.
const EVERY: Duration = Duration::from_secs(10);

/// Records checkpoints until the shutdown.
pub(crate) async fn keep_checkpoints(outboxes: &Outboxes, shutdown: Shutdown) {
    let work = async {
        loop {
            note(outboxes).await;
            tokio::time::sleep(EVERY).await;
        }
    };
    tokio::select! {
        () = work => {}
        () = shutdown => {}
    }
}

/// Records checkpoints in a task as long as the databases are in use elsewhere.
pub(super) fn keep_while_used(outboxes: &Outboxes) {
    let databases = Arc::downgrade(&outboxes.0);
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(async move {
            while let Some(databases) = databases.upgrade() {
                note(&Outboxes(databases)).await;
                tokio::time::sleep(EVERY).await;
            }
        });
    }
}

async fn note(outboxes: &Outboxes) {
    let notes = outboxes.0.iter().map(|(name, store)| async move {
        match tokio::time::timeout(DEADLINE, store.checkpoint(EVERY)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::warn!(database = &**name, error = %chain(&error), "no checkpoint was noted");
            }
            Err(_) => tracing::warn!(database = &**name, "no checkpoint was noted in time"),
        }
    });
    futures_util::future::join_all(notes).await;
}
