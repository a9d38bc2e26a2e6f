//! The state of a database at a glance.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{ConsumerStatus, DatabaseStatus, OutboxStatus};

use crate::PostgresStore;
use crate::outbox_measure::Measured;
use crate::tables::status;

/// Every read is bounded: it stops counting, or reads one row of an index. The outbox is that of its health.
impl DatabaseStatus for PostgresStore {
    fn outbox_status(&self) -> BoxFuture<'_, Result<OutboxStatus, Error>> {
        Box::pin(self.statement(async {
            let mut tx = self.begin_counts().await?;
            let Measured { publisher, lag } = self.measured(&mut tx).await?;
            status::outbox(&mut tx, self.schema(), publisher, lag).await
        }))
    }

    fn consumer_statuses(&self) -> BoxFuture<'_, Result<Vec<ConsumerStatus>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            status::consumers(&mut connection, self.schema()).await
        }))
    }
}
