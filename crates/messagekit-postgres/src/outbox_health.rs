//! Reports whether events leave the outbox.

use std::time::Duration;

use messagekit::adapter::BoxFuture;
use messagekit::operations::{OutboxHealth, OutboxLag, SourceState};
use messagekit::relay::RejectedEvents;
use messagekit::{Error, Store};
use messagekit_topic_store::TableSources;

use crate::health_connection::{CHECKPOINT_LIMIT, PING_LIMIT};
use crate::outbox_measure::Measurement;
use crate::tables::health;
use crate::{PostgresStore, migrations};

/// A database without published events and without capture has no problem: it only consumes.
impl OutboxHealth for PostgresStore {
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(self.statement(async move {
            let found = health::ping(&mut *self.begin_health(PING_LIMIT).await?, self.schema()).await?;
            let fit = found.check(migrations::this_program(), "database");
            fit.map_err(|error| error.with("schema", self.schema()))
        }))
    }

    fn rejected_events(&self) -> Option<&dyn RejectedEvents> {
        Some(self)
    }

    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>> {
        Box::pin(async { Ok(Measurement::of(self).await?.lag) })
    }

    fn source_states(&self) -> BoxFuture<'_, Result<Vec<SourceState>, Error>> {
        Box::pin(async {
            let sources = self.sources().await?.into_iter();
            Ok(sources.map(SourceState::from).collect())
        })
    }

    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            let mut tx = self.statement(self.begin_health(CHECKPOINT_LIMIT)).await?;
            let write = async {
                if health::has_checkpoint(&mut tx, self.schema(), every).await? {
                    return Ok(false);
                }
                health::checkpoint(&mut tx, self.schema(), every).await?;
                Ok(true)
            };
            match self.statement(write).await? {
                true => self.commit(tx).await,
                false => Ok(()),
            }
        })
    }
}
