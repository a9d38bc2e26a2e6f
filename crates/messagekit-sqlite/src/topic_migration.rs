//! Migrating typed topics of this file.

use std::sync::Arc;

use messagekit::{Error, MessageId};
use messagekit_topic_store::{MigratedRecord, Swap, TopicDefinition, TopicMigration};

use crate::SqliteStore;
use crate::name_lock::{NameLock, file_of};
use crate::tables::topic_migrations;

impl TopicMigration for SqliteStore {
    async fn begin_migration(&self, topic: &Arc<str>) -> Result<String, Error> {
        let topic = topic.clone();
        self.job(move |conn| topic_migrations::begin(conn, &topic)).await?;
        Ok(MessageId::new().as_str().to_owned())
    }

    async fn stage(
        &self,
        topic: &Arc<str>,
        migration: &str,
        records: Vec<MigratedRecord>,
    ) -> Result<(), Error> {
        let (topic, migration) = (topic.clone(), migration.to_owned());
        self.job(move |conn| topic_migrations::stage(conn, &topic, &migration, &records)).await
    }

    async fn abandon_migration(&self, topic: &Arc<str>) -> Result<(), Error> {
        let topic = topic.clone();
        let number = self.query(move |conn| topic_migrations::number(conn, &topic)).await?;
        self.clear_staged(number).await.map(drop)
    }

    async fn swap(
        &self,
        migration: &str,
        from: &TopicDefinition,
        to: &TopicDefinition,
        through: i64,
    ) -> Result<Swap, Error> {
        let (migration, from, to) = (migration.to_owned(), from.clone(), to.clone());
        self.job(move |conn| topic_migrations::swap(conn, &migration, &from, &to, through)).await
    }
}

impl SqliteStore {
    /// Deletes what migrations have written whose processes have died, in short transactions, and returns how many rows.
    pub(crate) async fn clear_dead_migrations(&self) -> Result<u64, Error> {
        let mut cleared = 0;
        for (number, topic) in self.query(topic_migrations::staged).await? {
            // A migration that runs has its name.
            let file = file_of(self.path(), &<Self as TopicMigration>::migration_name(&topic));
            if let Some(_alone) = NameLock::try_take(&file)? {
                cleared += self.clear_staged(number).await?;
            }
        }
        Ok(cleared)
    }

    async fn clear_staged(&self, topic: i64) -> Result<u64, Error> {
        let mut cleared = 0;
        loop {
            match self.job(move |conn| topic_migrations::clear_piece(conn, topic)).await? {
                0 => return Ok(cleared),
                rows => cleared += rows,
            }
        }
    }
}
