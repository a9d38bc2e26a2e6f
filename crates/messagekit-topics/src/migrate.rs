//! Giving the records of a topic another type.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use messagekit::adapter::BoxFuture;
use messagekit::{Error as CoreError, ErrorKind, crash};
use messagekit_topic_store::{
    MigratedRecord, Swap, TopicDefinition, TopicMigration, TopicRecord, topic_was_dropped, topic_was_migrated,
};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::declared::Declared;
use crate::error::BoxError;
use crate::rules::Rules;
use crate::sorted_hashes::SortedHashes;
use crate::topic::Checks;
use crate::{Duplicate, Error, Topic};

/// The most records that are read, and then written in one commit.
const PAGE: u32 = 256;
/// How often a migration catches up with records that others append, before it gives up.
const ROUNDS: u32 = 20;

type Function<T, U> = Arc<dyn Fn(T) -> BoxFuture<'static, Result<U, BoxError>> + Send + Sync>;

/// The migration of a topic, before it [runs](Self::run).
#[must_use = "a migration is started by `run`"]
pub struct Migration<T, U, S> {
    topic: Topic<T, S>,
    function: Function<T, U>,
    declared: Declared,
    dedup: Option<Vec<String>>,
    key: Option<Option<String>>,
}

impl<T: DeserializeOwned + Send + 'static, S: TopicMigration> Topic<T, S> {
    /// Gives every record of the topic another form, and the topic the type of it.
    ///
    /// The function is called for each record, outside of any transaction. Ids, offsets, times and what consumers have handled stay.
    pub fn migrate<U, E, F, Fut>(&self, function: F) -> Migration<T, U, S>
    where
        E: Into<BoxError>,
        F: Fn(T) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<U, E>> + Send + 'static,
    {
        let function: Function<T, U> = Arc::new(move |data| {
            let called = function(data);
            Box::pin(async move { called.await.map_err(Into::into) })
        });
        Migration { topic: self.clone(), function, declared: Declared::ByType, dedup: None, key: None }
    }
}

impl<T, U, S> Migration<T, U, S> {
    /// Sets the dedup fields of the new form; by default they stay. What retention has deleted is no longer known under another rule.
    pub fn dedup<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.dedup = Some(fields.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the key field of the new form; by default it stays. A topic with several partitions keeps its key, because its records keep
    /// their partitions.
    pub fn key(mut self, field: Option<String>) -> Self {
        self.key = Some(field);
        self
    }
}

impl<T, U, S> Migration<T, U, S> {
    /// Sets the JSON Schema of the new form, for a program whose types are not Rust's.
    pub fn described(self, schema: Value) -> Self {
        Self { declared: Declared::As(schema), ..self }
    }
}

impl<T, U, S> Migration<T, U, S>
where
    T: DeserializeOwned + Send + 'static,
    U: Serialize + DeserializeOwned + JsonSchema + Send,
    S: TopicMigration,
{
    /// Migrates the topic, and returns it with its new type.
    ///
    /// The next form of the records is written beside them in batches, and swapped with them in one transaction. A program that has the
    /// topic open with its old type can no longer append.
    ///
    /// # Errors
    /// The function's error for a record, with its id as `record`; [`ErrorKind::Undecodable`] for a record that does not have the old
    /// type. [`ErrorKind::Duplicate`] with [details](Error::duplicate) if two records would have the same dedup fields.
    /// [`ErrorKind::InvalidConfiguration`] for rules that the new type cannot have. [`ErrorKind::WrongState`] for a topic that a relay
    /// publishes, and while a worker holds records of it: stop the workers, or wait for the end of their leases. A transient error if the file is busy, or if records are appended faster than they are migrated. The topic is unchanged.
    ///
    /// # Cancel safety
    /// A dropped call leaves the topic unchanged, or migrated whole.
    pub async fn run(self) -> Result<Topic<U, S>, Error> {
        let (store, name) = (self.topic.shared.store.clone(), &self.topic.rules.name);
        let _alone = store.work_alone(&S::migration_name(name)).await?;
        // Asked for alone: a migration that this one has waited for may have changed it.
        let (from, to) = self.definitions().await?;
        let migration = store.begin_migration(name).await?;
        if let Err(error) = self.stage_and_swap(&migration, &from, &to).await {
            // The answer is why it ended. What is left if this fails, too, is deleted by a cleanup.
            store.abandon_migration(name).await.ok();
            return Err(error);
        }
        crash::point("migration.committed");
        let rules = Rules::of(TopicDefinition { version: from.version + 1, ..to });
        let consumer = self.topic.consumer.clone();
        Ok(Topic::new(self.topic.shared.clone(), rules, self.declared.checks()).named(consumer))
    }

    /// Writes the next form of all records, in rounds until none was appended meanwhile, and swaps them.
    async fn stage_and_swap(
        &self,
        migration: &str,
        from: &TopicDefinition,
        to: &TopicDefinition,
    ) -> Result<(), Error> {
        let (store, name) = (&self.topic.shared.store, &self.topic.rules.name);
        let rules = Rules::of(to.clone());
        let mut through = 0;
        for _ in 0..ROUNDS {
            // Asked before the look: what is appended later is behind it.
            let end = store.last_record().await?;
            loop {
                let page = self.topic.read(None, through, PAGE).await?.records;
                let Some(last) = page.last().map(|record| record.id) else { break };
                let mut staged = Vec::with_capacity(page.len());
                for record in page {
                    staged.push(self.migrated(&rules, record).await?);
                }
                store.stage(name, migration, staged).await?;
                crash::point("migration.staged");
                through = last;
            }
            through = through.max(end);
            match store.swap(migration, from, to, through).await? {
                Swap::Done => return Ok(()),
                Swap::Behind => {}
                Swap::Duplicate { record, existing } => return Err(self.duplicate(record, existing)),
            }
        }
        let text = "records are appended faster than they are migrated: try again when less is written";
        Err(CoreError::new(ErrorKind::Unavailable, text).with("topic", name).into())
    }

    /// Calls the function for every record and checks what it returns. Returns how many records there are; the database is not
    /// written to. Of a topic with very many records, the hashes of their dedup fields wait in the folder for temporary files, 40 bytes
    /// each.
    ///
    /// # Errors
    /// As [`run`](Self::run); [`ErrorKind::Unavailable`] if that folder cannot be used.
    pub async fn dry_run(&self) -> Result<u64, Error> {
        let (_, to) = self.definitions().await?;
        let rules = Rules::of(to);
        let (mut after, mut records) = (0, 0);
        let mut hashes = SortedHashes::default();
        loop {
            let page = self.topic.read(None, after, PAGE).await?.records;
            let Some(last) = page.last().map(|record| record.id) else { break };
            for record in page {
                let migrated = self.migrated(&rules, record).await?;
                records += 1;
                if let Some(hash) = migrated.dedup_hash {
                    hashes.add(&hash, migrated.id)?;
                }
            }
            after = last;
        }
        match hashes.equal()? {
            None => Ok(records),
            Some((record, existing)) => Err(self.duplicate(record, existing)),
        }
    }

    /// Returns the definition of the topic, and its next one.
    async fn definitions(&self) -> Result<(TopicDefinition, TopicDefinition), Error> {
        let own = &self.topic.rules;
        let stored = self.topic.shared.store.topic_definition(&own.name).await?.ok_or_else(|| {
            CoreError::new(ErrorKind::NotFound, "file has no such topic").with("topic", &own.name)
        })?;
        if stored.id != own.id {
            return Err(topic_was_dropped(&own.name).into());
        }
        if stored.version != own.version {
            return Err(topic_was_migrated(&own.name).into());
        }
        let dedup = self.dedup.clone().unwrap_or_else(|| stored.dedup.clone());
        let key = self.key.clone().unwrap_or_else(|| stored.key.clone());
        let to = self.declared.define::<U>(TopicDefinition { dedup, key, ..stored.clone() })?;
        if to.key != stored.key && stored.partitions > 1 {
            let text = "topic has several partitions, which its records keep: its key cannot be changed";
            return Err(CoreError::new(ErrorKind::InvalidConfiguration, text)
                .with("topic", &own.name)
                .into());
        }
        Ok((stored, to))
    }

    async fn migrated(&self, rules: &Rules, record: TopicRecord) -> Result<MigratedRecord, Error> {
        let id = record.id;
        let refused = |kind, text: &'static str| {
            CoreError::new(kind, text).with("topic", &self.topic.rules.name).with("record", id)
        };
        let data = self.topic.typed(&record)?.data;
        let migrated = (self.function)(data).await.map_err(|error| {
            refused(ErrorKind::Other, "function of the migration failed on a record").caused_by(error)
        })?;
        let text = rules.text_of(&migrated).map_err(|error| error.with("record", id))?;
        if self.declared.checks() == Checks::Type {
            rules.check_type::<U>(&text).map_err(|error| error.with("record", id))?;
        }
        let value = rules.read(&text).map_err(|error| error.with("record", id))?;
        if !value.is_object() {
            return Err(refused(ErrorKind::InvalidEvent, "record in its new form is no JSON object").into());
        }
        let (payload, key, dedup_hash) = rules.form_of(&value);
        Ok(MigratedRecord { id, payload: payload.into(), key: key.map(Into::into), dedup_hash })
    }

    fn duplicate(&self, record: i64, existing: i64) -> Error {
        let topic = self.topic.rules.name.to_string();
        Error::of_duplicate(Duplicate { topic, record: Some(record), existing })
    }
}

impl<T, U, S> fmt::Debug for Migration<T, U, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Migration").field("topic", &self.topic.rules.name).finish_non_exhaustive()
    }
}
