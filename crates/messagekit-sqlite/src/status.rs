//! The state of a file at a glance.

use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{ConsumerStatus, DatabaseStatus, OutboxStatus};

use crate::SqliteStore;
use crate::error::from_sqlite;
use crate::event_history::publisher;
use crate::outbox_health::lag;
use crate::tables::{now, status};

impl DatabaseStatus for SqliteStore {
    fn outbox_status(&self) -> BoxFuture<'_, Result<OutboxStatus, Error>> {
        Box::pin(self.query(|conn| {
            let snapshot = conn.unchecked_transaction().map_err(from_sqlite)?;
            let lag = lag(&snapshot)?;
            let counts = status::outbox(&snapshot).map_err(from_sqlite)?;
            Ok(OutboxStatus {
                publisher: publisher(&snapshot).map_err(from_sqlite)?,
                lag,
                delayed: counts.delayed,
                rejected: counts.rejected,
                running_replays: counts.running_replays,
            })
        }))
    }

    fn consumer_statuses(&self) -> BoxFuture<'_, Result<Vec<ConsumerStatus>, Error>> {
        Box::pin(self.query(|conn| status::consumers(conn, now())))
    }
    fn last_seen<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<Option<Duration>, Error>> {
        let consumer = consumer.to_owned();
        Box::pin(self.query(move |conn| status::last_seen(conn, &consumer, now()).map_err(from_sqlite)))
    }
}
