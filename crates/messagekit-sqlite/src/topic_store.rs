//! Typed topics of this file.

use std::sync::Arc;

use messagekit::Error;
use messagekit_topic_store::CommitWatch;
use messagekit_topic_store::{
    AppendedRecord, HandledRecords, NewRecord, OnDuplicate, OnSources, RecordAppend, RecordCounts,
    RecordPage, RecordQuery, RecordReads, RetentionRule, TopicDefinition, TopicDefinitions, TopicView,
};
use serde_json::Value;

use crate::error::from_sqlite;
use crate::table_sources::install;
use crate::tables::{
    consumer_records, cursors, dropped_topics, handled_records, now, topic_definitions, topic_records,
    topic_views,
};
use crate::{SqliteStore, SqliteTx};

/// One writer assigns ids and offsets in the appending transaction, so that both have the order of the commits.
impl TopicDefinitions for SqliteStore {
    async fn define_topic(&self, definition: &TopicDefinition) -> Result<Option<TopicDefinition>, Error> {
        let (definition, now) = (definition.clone(), now());
        self.job(move |conn| topic_definitions::define(conn, &definition, now)).await
    }

    async fn topic_definition(&self, topic: &Arc<str>) -> Result<Option<TopicDefinition>, Error> {
        let topic = topic.clone();
        self.query(move |conn| topic_definitions::find(conn, &topic)).await
    }

    async fn topic_definitions(&self) -> Result<Vec<TopicDefinition>, Error> {
        self.query(topic_definitions::all).await
    }

    async fn replace_schema(&self, from: &TopicDefinition, to: &TopicDefinition) -> Result<bool, Error> {
        let (from, to) = (from.clone(), to.clone());
        self.job(move |conn| topic_definitions::replace_schema(conn, &from, &to).map_err(from_sqlite)).await
    }

    async fn set_retention(&self, topic: &Arc<str>, retention: Option<RetentionRule>) -> Result<(), Error> {
        let topic = topic.clone();
        self.job(move |conn| topic_records::set_retention(conn, &topic, retention)).await
    }

    async fn expire(&self, topic: &Arc<str>) -> Result<u64, Error> {
        let (topic, now) = (topic.clone(), now());
        self.job(move |conn| topic_records::expire(conn, &topic, now)).await
    }

    async fn clear_topic(&self, topic: &Arc<str>) -> Result<u64, Error> {
        self.append_waiting().await?;
        let (topic, now) = (topic.clone(), now());
        self.job(move |conn| topic_records::clear(conn, &topic, now)).await
    }

    async fn drop_topic(&self, topic: &Arc<str>, on_sources: OnSources) -> Result<(), Error> {
        // What waits for a relayed topic is for its broker, too.
        self.append_waiting().await?;
        let topic = topic.clone();
        self.job(move |conn| {
            if on_sources == OnSources::Drop {
                install::remove_all(conn, &topic)?;
            }
            dropped_topics::drop_topic(conn, &topic)
        })
        .await
    }

    async fn clear_dropped(&self) -> Result<u64, Error> {
        self.job(dropped_topics::clear).await
    }

    async fn view_rows(&self, view: TopicView) -> Result<Vec<Vec<Value>>, Error> {
        self.query(move |conn| topic_views::rows(conn, view)).await
    }
}

impl RecordAppend for SqliteStore {
    async fn append_records(
        &self,
        tx: &mut SqliteTx,
        records: &[NewRecord],
        on_duplicate: OnDuplicate,
    ) -> Result<Vec<AppendedRecord>, Error> {
        let records = records.to_vec();
        let outcome = tx.run(move |conn| topic_records::append(conn, &records, on_duplicate, now())).await?;
        if outcome.leaves {
            let news = self.news().clone();
            tx.on_commit(Box::new(move || news.wake()));
        }
        Ok(outcome.records)
    }

    async fn append_now(
        &self,
        records: Vec<NewRecord>,
        on_duplicate: OnDuplicate,
    ) -> Result<Vec<AppendedRecord>, Error> {
        let now = now();
        let outcome = self.job(move |conn| topic_records::append(conn, &records, on_duplicate, now)).await?;
        if outcome.leaves {
            self.news().wake();
        }
        Ok(outcome.records)
    }

    async fn after_commit(&self, tx: &mut SqliteTx, run: Box<dyn FnOnce() + Send>) -> Result<(), Error> {
        tx.on_commit(run);
        Ok(())
    }
}

impl RecordReads for SqliteStore {
    async fn read_records(&self, query: &RecordQuery) -> Result<RecordPage, Error> {
        let query = query.clone();
        self.query_topics(move |conn| consumer_records::query(conn, &query)).await
    }

    fn watch_commits(&self) -> Result<Box<dyn CommitWatch>, Error> {
        Ok(Box::new(self.watch()?))
    }

    async fn count_records(&self, consumer: &str, topic: &Arc<str>) -> Result<RecordCounts, Error> {
        let (consumer, topic) = (consumer.to_owned(), topic.clone());
        self.query_topics(move |conn| {
            // The numbers are compared with each other: records may be appended between two statements.
            let snapshot = conn.unchecked_transaction().map_err(from_sqlite)?;
            consumer_records::count(&snapshot, &consumer, &topic)
        })
        .await
    }
}

impl HandledRecords for SqliteStore {
    async fn drop_consumer(&self, topic: &Arc<str>, consumer: &str) -> Result<bool, Error> {
        let (topic, consumer) = (topic.clone(), consumer.to_owned());
        self.job(move |conn| cursors::forget(conn, &consumer, &topic).map_err(from_sqlite)).await
    }

    async fn set_handled(
        &self,
        tx: &mut SqliteTx,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> Result<(), Error> {
        let (consumer, topic) = (consumer.to_owned(), topic.clone());
        tx.run(move |conn| handled_records::set_handled(conn, &consumer, &topic, id, now())).await
    }

    async fn set_handled_now(&self, consumer: &str, topic: &Arc<str>, id: i64) -> Result<(), Error> {
        let (consumer, topic, now) = (consumer.to_owned(), topic.clone(), now());
        self.job(move |conn| handled_records::set_handled(conn, &consumer, &topic, id, now)).await
    }
}
