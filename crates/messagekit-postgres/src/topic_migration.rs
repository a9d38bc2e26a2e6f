//! Migrating typed topics of this database.

use std::sync::Arc;

use messagekit::{Error, MessageId, Store, crash};
use messagekit_topic_store::{MigratedRecord, Swap, TopicDefinition, TopicMigration};

use crate::PostgresStore;
use crate::tables::{dropped_topics, topic_migrations, topics};

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

    async fn abandon_migration(&self, topic: &Arc<str>) -> Result<(), Error> {
        let mut connection = self.connection().await?;
        let number = self.statement(topics::kept(&mut connection, self.schema(), topic)).await?.id;
        drop(connection);
        self.clear_staged(number).await.map(drop)
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
            Swap::Done => {
                crash::point("migration.swapped");
                self.commit(tx).await?;
            }
            Swap::Behind | Swap::Duplicate { .. } => self.rollback(tx).await?,
        }
        Ok(swapped)
    }
}

impl PostgresStore {
    /// Deletes what migrations have written whose processes have died, in short transactions, and returns how many rows.
    pub(crate) async fn clear_dead_migrations(&self) -> Result<u64, Error> {
        let mut cleared = 0;
        let all =
            self.read(|mut connection| async move { topics::all(&mut connection, self.schema()).await });
        for topic in all.await? {
            // A migration that runs has its name.
            let name = <Self as TopicMigration>::migration_name(&topic.definition.name);
            if let Some(_alone) = self.try_alone(&name).await? {
                cleared += self.clear_staged(topic.id).await?;
            }
        }
        Ok(cleared)
    }

    async fn clear_staged(&self, topic: i32) -> Result<u64, Error> {
        let mut cleared = 0;
        loop {
            let mut connection = self.connection().await?;
            let piece = dropped_topics::clear_staged(&mut connection, self.schema(), topic);
            match self.statement(piece).await? {
                0 => return Ok(cleared),
                rows => cleared += rows,
            }
        }
    }
}
