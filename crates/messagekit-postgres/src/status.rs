//! The state of a database at a glance.

use messagekit::Error;
use messagekit::adapter::BoxFuture;
use messagekit::operations::{ConsumerStatus, DatabaseStatus, OutboxStatus, PublisherMode};

use crate::PostgresStore;
use crate::tables::status;

/// Every read is bounded: it stops counting, or reads one row of an index.
impl DatabaseStatus for PostgresStore {
    fn outbox_status(&self) -> BoxFuture<'_, Result<OutboxStatus, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            let publisher = self.publisher(&mut connection).await?;
            let is_relayed = publisher.mode == Some(PublisherMode::Relay);
            status::outbox(&mut connection, self.schema(), publisher, is_relayed).await
        }))
    }

    fn consumer_statuses(&self) -> BoxFuture<'_, Result<Vec<ConsumerStatus>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            status::consumers(&mut connection, self.schema()).await
        }))
    }
}
