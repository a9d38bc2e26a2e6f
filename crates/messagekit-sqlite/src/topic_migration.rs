//! Migrating typed topics of this file.

use std::sync::Arc;

use messagekit::log::{MigratedRecord, Swap, TopicDefinition, TopicMigration};
use messagekit::{Error, MessageId};

use crate::SqliteStore;
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
