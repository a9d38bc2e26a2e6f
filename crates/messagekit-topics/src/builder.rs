//! Opens a topic with its rules.

use std::fmt;
use std::marker::PhantomData;
use std::num::NonZeroU32;
use std::sync::Arc;

use messagekit::adapter::check_topic;
use messagekit::{Error as CoreError, ErrorKind};
use messagekit_topic_store::{RetentionRule, TopicDefinition, TopicStore};
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::declared::Declared;
use crate::guard::Guard;
use crate::rules::Rules;
use crate::shared::Shared;
use crate::{Error, Topic, TopicEvent, guard};

/// The rules of a topic, before it is [opened](Self::open).
#[must_use = "a topic is opened by `open`"]
pub struct TopicBuilder<T, S> {
    shared: Shared<S>,
    name: Arc<str>,
    dedup: Option<Vec<String>>,
    key: Option<String>,
    partitions: NonZeroU32,
    retention: Option<RetentionRule>,
    is_published: bool,
    guard: Guard,
    declared: Declared,
    data: PhantomData<fn() -> T>,
}

impl<T, S: TopicStore> TopicBuilder<T, S> {
    pub(crate) fn new(shared: Shared<S>, name: Arc<str>, declared: Declared) -> Self {
        let (partitions, guard) = (NonZeroU32::MIN, Guard::Exact);
        let (dedup, key, retention) = (None, None, None);
        let is_published = false;
        Self {
            shared,
            name,
            dedup,
            key,
            partitions,
            retention,
            is_published,
            guard,
            declared,
            data: PhantomData,
        }
    }

    /// Sets the fields that no two records may have in common, in any order; none by default.
    pub fn dedup<F: Into<String>>(mut self, fields: impl IntoIterator<Item = F>) -> Self {
        self.dedup = Some(fields.into_iter().map(Into::into).collect());
        self
    }

    /// Sets the field that is the key of a record; none by default. Records of one key keep their order and share a partition.
    pub fn key(mut self, field: impl Into<String>) -> Self {
        self.key = Some(field.into());
        self
    }

    /// Sets the number of partitions of a new topic; 1 by default. An existing topic keeps its number.
    pub fn partitions(mut self, partitions: NonZeroU32) -> Self {
        self.partitions = partitions;
        self
    }

    /// Sets how long the topic keeps its records; for ever by default. An existing topic gets this rule, and keeps its own if none is given.
    ///
    /// Each append deletes some of what is no longer kept, [`Topic::expire`] the rest.
    pub fn retention(mut self, rule: RetentionRule) -> Self {
        self.retention = Some(rule);
        self
    }

    /// Publishes the records of a new topic to a broker, too, by a relay or, on PostgreSQL, by Debezium. By default they stay in the
    /// database. An existing topic stays as it is.
    pub fn published(mut self) -> Self {
        self.is_published = true;
        self
    }

    /// Sets how much the schema of an existing topic may differ; [`Guard::Exact`] by default.
    pub fn guard(mut self, guard: Guard) -> Self {
        self.guard = guard;
        self
    }
}

impl<T: Serialize + DeserializeOwned + JsonSchema, S: TopicStore> TopicBuilder<T, S> {
    /// Opens the topic, and makes it if the file does not have it.
    ///
    /// # Errors
    /// [`ErrorKind::SchemaMismatch`] with [details](Error::schema_mismatch) if the topic has another schema or another dedup rule.
    /// [`ErrorKind::InvalidConfiguration`] for a rule that names a missing field, and for a type that is no object or has no
    /// schema. [`ErrorKind::InvalidEvent`] for a name that no topic can have. A transient error if the file is busy: retry.
    pub async fn open(self) -> Result<Topic<T, S>, Error> {
        check_topic(&self.name)?;
        self.retention.as_ref().map_or(Ok(()), RetentionRule::check)?;
        let mut given = self.declared.define::<T>(TopicDefinition {
            id: 0,
            name: self.name.clone(),
            schema: None,
            shape: None,
            dedup: self.dedup.clone().unwrap_or_default(),
            key: self.key,
            partitions: self.partitions.get(),
            version: 0,
            retention: self.retention,
            is_published: self.is_published,
        })?;
        let (adopts, checks) = (given.schema.is_none(), self.declared.checks());
        let store = &self.shared.store;
        // Looked up first: a topic that exists is opened without the write lock.
        let known = match store.topic_definition(&self.name).await? {
            None => store.define_topic(&given).await?,
            known => known,
        };
        match known {
            None => {
                let made = store.topic_definition(&self.name).await?;
                given.id = made.map_or(0, |made| made.id);
                self.shared.observers.notify(&TopicEvent::Created { topic: self.name.clone() });
            }
            Some(stored) => {
                (given.id, given.partitions, given.version) = (stored.id, stored.partitions, stored.version);
                if adopts {
                    given.schema.clone_from(&stored.schema);
                    given.key = given.key.or_else(|| stored.key.clone());
                    if self.dedup.is_none() {
                        given.dedup.clone_from(&stored.dedup);
                    }
                }
                if guard::check(self.guard, &stored, &given)?
                    && !store.replace_schema(&stored, &given).await?
                {
                    let text = "another program has changed the schema of the topic meanwhile: open it again";
                    return Err(CoreError::new(ErrorKind::Conflict, text).with("topic", &self.name).into());
                }
                if self.retention.is_some() && self.retention != stored.retention {
                    store.set_retention(&self.name, self.retention).await?;
                }
            }
        }
        Ok(Topic::new(self.shared, Rules::of(given), checks))
    }
}

impl<T, S> fmt::Debug for TopicBuilder<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicBuilder")
            .field("name", &self.name)
            .field("dedup", &self.dedup)
            .finish_non_exhaustive()
    }
}
