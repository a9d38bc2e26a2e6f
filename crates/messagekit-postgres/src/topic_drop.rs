//! Dropping topics of this database.

use std::sync::Arc;

use messagekit::{Error, Store};
use messagekit_topic_store::{OnSources, TableSources};

use crate::PostgresStore;
use crate::hasty::Attempts;
use crate::tables::dropped_topics;

impl PostgresStore {
    /// Drops a topic in a short transaction, between those that hold it.
    pub(crate) async fn drop_one(&self, topic: &Arc<str>, on_sources: OnSources) -> Result<(), Error> {
        if on_sources == OnSources::Drop {
            let tables = self.read(|mut connection| async move {
                dropped_topics::feeding(&mut connection, self.schema(), topic).await
            });
            for table in tables.await? {
                self.drop_source(topic, &table).await?;
            }
        }
        let attempts = Attempts::new("messagekit.topic_partitions");
        loop {
            let mut tx = self.begin_hasty().await?;
            let dropped = self.statement(dropped_topics::drop_topic(&mut tx, self.schema(), topic)).await;
            self.topics().notices.written();
            if attempts.end(self, tx, dropped).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// Deletes a piece of what dropped topics have left. Losing it costs nothing: it is found again.
    pub(crate) async fn clear_one(&self) -> Result<u64, Error> {
        let mut tx = self.begin().await?;
        let cleared = self.statement(dropped_topics::clear(&mut tx, self.schema())).await?;
        self.commit_unhurried(tx).await?;
        Ok(cleared)
    }
}
