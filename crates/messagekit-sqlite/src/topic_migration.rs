//! Migrating typed topics of this file.

use std::sync::Arc;

use messagekit::Error;
use messagekit::log::{MigratedRecord, Swap, TopicDefinition, TopicMigration};

use crate::SqliteStore;
use crate::tables::topic_migrations;

impl TopicMigration for SqliteStore {
    async fn begin_migration(&self, topic: &Arc<str>) -> Result<(), Error> {
        let topic = topic.clone();
        self.job(move |conn| topic_migrations::begin(conn, &topic)).await
    }

    async fn stage(&self, topic: &Arc<str>, records: Vec<MigratedRecord>) -> Result<(), Error> {
        let topic = topic.clone();
        self.job(move |conn| topic_migrations::stage(conn, &topic, &records)).await
    }

    async fn swap(&self, from: &TopicDefinition, to: &TopicDefinition, through: i64) -> Result<Swap, Error> {
        let (from, to) = (from.clone(), to.clone());
        self.job(move |conn| topic_migrations::swap(conn, &from, &to, through)).await
    }
}
