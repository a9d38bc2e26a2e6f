//! Typed topics of this database.

use std::sync::Arc;
use std::time::Duration;

use messagekit::{Error, ErrorKind, Store};
use messagekit_topic_store::CommitWatch;
use messagekit_topic_store::{
    AppendedRecord, HandledRecords, NewRecord, OnDuplicate, OnSources, RecordAppend, RecordCounts,
    RecordPage, RecordQuery, RecordReads, RetentionRule, TopicDefinition, TopicDefinitions, TopicView,
};
use serde_json::Value;
use tokio::sync::OwnedSemaphorePermit;

use crate::commit_watch::{PgCommits, Watched};
use crate::hasty::Attempts;
use crate::tables::topics::Topic;
use crate::tables::{
    consumer_records, cursors, handled_records, retention, topic_append, topic_views, topics, waiting,
};
use crate::{PgTx, PostgresStore};

/// The most records of a partition that one call deletes.
const EXPIRE_STEP: u32 = 1_000;
/// How long a caller waits for its turn in a topic.
const TURN: Duration = Duration::from_secs(30);

impl TopicDefinitions for PostgresStore {
    async fn define_topic(&self, definition: &TopicDefinition) -> Result<Option<TopicDefinition>, Error> {
        let attempts = Attempts::new("messagekit.outbox_events");
        loop {
            let mut tx = self.begin_hasty().await?;
            let made = self.statement(topics::define(&mut tx, self.schema(), definition)).await;
            if let Some(made) = attempts.end(self, tx, made).await? {
                return if made { Ok(None) } else { self.topic_definition(&definition.name).await };
            }
        }
    }

    async fn topic_definition(&self, topic: &Arc<str>) -> Result<Option<TopicDefinition>, Error> {
        let found = self
            .read(|mut connection| async move { topics::find(&mut connection, self.schema(), topic).await });
        Ok(found.await?.map(|topic| topic.definition))
    }

    async fn topic_definitions(&self) -> Result<Vec<TopicDefinition>, Error> {
        let all =
            self.read(|mut connection| async move { topics::all(&mut connection, self.schema()).await });
        Ok(all.await?.into_iter().map(|topic| topic.definition).collect())
    }

    async fn replace_schema(&self, from: &TopicDefinition, to: &TopicDefinition) -> Result<bool, Error> {
        self.statement(async {
            topics::replace_schema(&mut *self.connection().await?, self.schema(), from, to).await
        })
        .await
    }

    async fn set_retention(&self, topic: &Arc<str>, retention: Option<RetentionRule>) -> Result<(), Error> {
        self.statement(async {
            topics::set_retention(&mut *self.connection().await?, self.schema(), topic, retention).await
        })
        .await
    }

    async fn expire(&self, topic: &Arc<str>) -> Result<u64, Error> {
        let found = self.sequenced(topic).await?;
        self.expire_some(&found).await
    }

    async fn clear_topic(&self, topic: &Arc<str>) -> Result<u64, Error> {
        let mut found = self.sequenced(topic).await?;
        found.definition.retention = Some(RetentionRule::of_nothing());
        self.expire_some(&found).await
    }

    async fn drop_topic(&self, topic: &Arc<str>, on_sources: OnSources) -> Result<(), Error> {
        self.drop_one(topic, on_sources).await
    }

    async fn clear_dropped(&self) -> Result<u64, Error> {
        self.clear_one().await
    }

    async fn view_rows(&self, view: TopicView) -> Result<Vec<Vec<Value>>, Error> {
        self.read(
            |mut connection| async move { topic_views::rows(&mut connection, self.schema(), view).await },
        )
        .await
    }
}

/// An append holds its topics until its transaction ends: ids and offsets have the order of the commits. Append late in a transaction.
impl RecordAppend for PostgresStore {
    async fn append_records(
        &self,
        tx: &mut PgTx,
        records: &[NewRecord],
        on_duplicate: OnDuplicate,
    ) -> Result<Vec<AppendedRecord>, Error> {
        let appended = self.statement(topic_append::append(tx, self.schema(), records, on_duplicate)).await?;
        self.topics().notices.written();
        Ok(appended)
    }

    async fn append_now(
        &self,
        records: Vec<NewRecord>,
        on_duplicate: OnDuplicate,
    ) -> Result<Vec<AppendedRecord>, Error> {
        // What waits in large numbers moves in transactions of its own.
        let mut topics: Vec<&Arc<str>> = records.iter().map(|record| &record.message.topic).collect();
        topics.dedup();
        for topic in topics {
            self.sequenced(topic).await?;
        }
        let _turns = self.turns(records.iter().map(|record| &*record.message.topic)).await?;
        let mut tx = self.begin().await?;
        let appended = self.append_records(&mut tx, &records, on_duplicate).await?;
        self.commit(tx).await?;
        self.news().wake();
        Ok(appended)
    }

    async fn after_commit(&self, tx: &mut PgTx, run: Box<dyn FnOnce() + Send>) -> Result<(), Error> {
        self.statement(self.topics().hooks.add(self.pool(), tx, run)).await
    }
}

impl RecordReads for PostgresStore {
    async fn read_records(&self, query: &RecordQuery) -> Result<RecordPage, Error> {
        let topic = &self.sequenced(&query.topic).await?;
        self.read(|mut connection| async move {
            consumer_records::query(&mut connection, self.schema(), topic, query).await
        })
        .await
    }

    fn watch_commits(&self) -> Result<Box<dyn CommitWatch>, Error> {
        Ok(Box::new(PgCommits::new(self.clone(), Watched::Commits)))
    }

    fn watch_records(&self) -> Result<Box<dyn CommitWatch>, Error> {
        Ok(Box::new(PgCommits::new(self.clone(), Watched::Records)))
    }

    async fn count_records(&self, consumer: &str, topic: &Arc<str>) -> Result<RecordCounts, Error> {
        let topic = &self.sequenced(topic).await?;
        self.read(|mut connection| async move {
            consumer_records::count(&mut connection, self.schema(), topic, consumer).await
        })
        .await
    }
}

impl HandledRecords for PostgresStore {
    async fn drop_consumer(&self, topic: &Arc<str>, consumer: &str) -> Result<bool, Error> {
        let forget =
            async { cursors::forget(&mut *self.connection().await?, self.schema(), consumer, topic).await };
        self.committing(forget).await
    }

    async fn set_handled(
        &self,
        tx: &mut PgTx,
        consumer: &str,
        topic: &Arc<str>,
        id: i64,
    ) -> Result<(), Error> {
        self.statement(async {
            let topic = topics::kept(tx, self.schema(), topic).await?;
            handled_records::set_handled(tx, self.schema(), consumer, &topic, id).await
        })
        .await
    }

    async fn set_handled_now(&self, consumer: &str, topic: &Arc<str>, id: i64) -> Result<(), Error> {
        let mut tx = self.begin().await?;
        self.set_handled(&mut tx, consumer, topic, id).await?;
        self.commit(tx).await
    }
}

impl PostgresStore {
    /// Deletes some records that a topic no longer keeps.
    async fn expire_some(&self, topic: &Topic) -> Result<u64, Error> {
        let _turns = self.turns([&*topic.definition.name]).await?;
        let mut tx = self.begin().await?;
        let mut expired = 0;
        self.statement(async {
            for known in topics::hold_partitions(&mut tx, self.schema(), topic.id).await? {
                expired += retention::expire(&mut tx, self.schema(), topic, known, EXPIRE_STEP).await?;
            }
            Ok(())
        })
        .await?;
        self.commit(tx).await?;
        Ok(expired)
    }

    /// Waits for turns in topics, without a connection.
    async fn turns(
        &self,
        topics: impl IntoIterator<Item = &str>,
    ) -> Result<Vec<OwnedSemaphorePermit>, Error> {
        let turns = tokio::time::timeout(TURN, self.topics().turns.take(topics)).await;
        turns.map_err(|_| {
            let text = format!("other transactions have held the topic for {TURN:?}: end them, or try again");
            Error::new(ErrorKind::Unavailable, text)
        })
    }

    /// Returns a topic in which no event waits for its offset that was committed before the call. Each batch has a transaction of its own.
    pub(crate) async fn sequenced(&self, name: &str) -> Result<Topic, Error> {
        let find = || {
            self.read(
                |mut connection| async move { topics::kept(&mut connection, self.schema(), name).await },
            )
        };
        let topic = find().await?;
        // Others may go on writing: what they commit meanwhile is not waited for.
        let mut is_full = topic.has_waiting;
        while is_full {
            let _turns = self.turns([name]).await?;
            let mut tx = self.begin().await?;
            let moved = self.statement(waiting::sequence_batch(&mut tx, self.schema(), &topic)).await?;
            self.commit(tx).await?;
            is_full = moved == waiting::BATCH;
        }
        Ok(topic)
    }
}
