//! The state of a database at a glance.

use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{ConsumerStatus, DatabaseStatus, LagPart, OutboxStatus};
use sqlx::PgConnection;

use crate::PostgresStore;
use crate::outbox_measure::Measurement;
use crate::tables::status;

/// Every read is bounded: it stops counting, or reads one row of an index. Cursors in topics, one row for each consumer and partition, are
/// read whole. The outbox is that of its health.
impl DatabaseStatus for PostgresStore {
    fn outbox_status(&self) -> BoxFuture<'_, Result<OutboxStatus, Error>> {
        Box::pin(async move {
            let mut measurement = Measurement::of(self).await?;
            let schema = self.schema();
            let others = async |connection: &mut PgConnection| status::outbox(connection, schema).await;
            let others = measurement.part(LagPart::Others, others).await.unwrap_or_default();
            let status::OtherCounts { delayed, rejected, running_replays } = others;
            let Measurement { publisher, lag, .. } = measurement;
            Ok(OutboxStatus { publisher, lag, delayed, rejected, running_replays })
        })
    }

    fn consumer_statuses(&self) -> BoxFuture<'_, Result<Vec<ConsumerStatus>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            status::consumers(&mut connection, self.schema()).await
        }))
    }
    fn last_seen<'a>(&'a self, consumer: &'a str) -> BoxFuture<'a, Result<Option<Duration>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            status::last_seen(&mut connection, self.schema(), consumer).await
        }))
    }
}
