//! The state of a file at a glance.

use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{ConsumerStatus, DatabaseStatus, OutboxStatus};

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::event_history::publisher;
use crate::tables::{now, status};

impl DatabaseStatus for SqliteStore {
    fn outbox_status(&self) -> BoxFuture<'_, Result<OutboxStatus, Error>> {
        Box::pin(self.query(|conn| {
            let read = || {
                let counts = status::outbox(conn)?;
                let age =
                    |since: i64| Duration::from_micros(now().saturating_sub(since).max(0).unsigned_abs());
                Ok(OutboxStatus {
                    publisher: publisher(conn)?,
                    pending: counts.pending,
                    oldest: counts.oldest.map(age),
                    delayed: counts.delayed,
                    rejected: counts.rejected,
                    running_replays: counts.running_replays,
                })
            };
            read().map_err(from_sqlite)
        }))
    }

    fn consumer_statuses(&self) -> BoxFuture<'_, Result<Vec<ConsumerStatus>, Error>> {
        Box::pin(self.query(|conn| status::consumers(conn, now())))
    }
}
