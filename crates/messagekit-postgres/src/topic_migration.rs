//! Migrating typed topics of this database.

use std::sync::Arc;

use messagekit::log::{MigratedRecord, Swap, TopicDefinition, TopicMigration};
use messagekit::{Error, MessageId, Store};

use crate::PostgresStore;
use crate::tables::{topic_migrations, topics};

impl TopicMigration for PostgresStore {
    async fn begin_migration(&self, topic: &Arc<str>) -> Result<String, Error> {
        // What waits was written before the migration, and gets its next form like all others.
        self.sequenced(topic).await?;
        let mut tx = self.begin().await?;
        self.statement(topic_migrations::begin(&mut tx, self.schema(), topic)).await?;
        self.commit(tx).await?;
        Ok(MessageId::new().as_str().to_owned())
    }

    async fn stage(
        &self,
        topic: &Arc<str>,
        migration: &str,
        records: Vec<MigratedRecord>,
    ) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        self.statement(async {
            let topic = topics::kept(&mut tx, self.schema(), topic).await?;
            topic_migrations::stage(&mut tx, self.schema(), &topic, migration, &records).await
        })
        .await?;
        self.commit(tx).await
    }

    async fn swap(
        &self,
        migration: &str,
        from: &TopicDefinition,
        to: &TopicDefinition,
        through: i64,
    ) -> Result<Swap, Error> {
        let mut tx = self.begin().await?;
        let swapped =
            self.statement(topic_migrations::swap(&mut tx, self.schema(), migration, (from, to), through));
        let swapped = swapped.await?;
        match swapped {
            Swap::Done => self.commit(tx).await?,
            Swap::Behind | Swap::Duplicate { .. } => self.rollback(tx).await?,
        }
        Ok(swapped)
    }
}
