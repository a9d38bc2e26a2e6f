//! Topics and sources that are made by their names.

use std::sync::Arc;

use messagekit::{Error as CoreError, ErrorKind};
use messagekit_topic_store::Pages;
use messagekit_topic_store::{AddedSource, RetentionRule, TableSources, TopicStore};

use super::names;
use super::requests::{NewSource, NewTopic};
use crate::{Error, Topics};

/// The most partitions of a topic that is made by its name: each is a row, and a transaction makes them all.
const MAX_PARTITIONS: u32 = 10_000;

pub(super) async fn create<S: TopicStore + Pages>(topics: &Topics<S>, new: &NewTopic) -> Result<bool, Error> {
    if new.partitions.get() > MAX_PARTITIONS {
        let text = format!("a topic has at most {MAX_PARTITIONS} partitions");
        return Err(CoreError::new(ErrorKind::InvalidConfiguration, text).into());
    }
    let is_defined = async || Ok::<_, Error>(topics.definition(new.topic.clone()).await?.is_some());
    if is_defined().await? {
        return Ok(false);
    }
    match partitions(topics.store(), &new.topic).await? {
        Some(there) if there != new.partitions.get() as usize => {
            // Another program may have made it meanwhile.
            return if is_defined().await? { Ok(false) } else { Err(undefined(new, there)) };
        }
        _ => {}
    }
    let builder = match &new.schema {
        Some(schema) => topics.described(new.topic.clone(), schema.clone()),
        None => topics.untyped(new.topic.clone()),
    };
    let mut builder = builder.partitions(new.partitions).dedup(new.dedup.iter().cloned());
    if let Some(key) = &new.key {
        builder = builder.key(key);
    }
    if let Some(rule) = new.retention {
        builder = builder.retention(rule);
    }
    let builder = if new.is_published { builder.published() } else { builder };
    builder.open().await?;
    Ok(true)
}

/// Returns the number of partitions of a topic that is there, defined or not.
async fn partitions(store: &impl Pages, topic: &Arc<str>) -> Result<Option<usize>, Error> {
    match store.bounds(topic).await {
        Ok(bounds) => Ok(Some(bounds.len())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Returns the error for a topic of events in a file, which keeps its partitions.
fn undefined(new: &NewTopic, there: usize) -> Error {
    let text = format!(
        "topic holds events, in {there} partitions: give as many to read the events as records; their consumers get what is appended then"
    );
    CoreError::new(ErrorKind::WrongState, text).with("topic", &new.topic).into()
}

pub(super) async fn set_retention<S: TopicStore>(
    topics: &Topics<S>,
    topic: &str,
    rule: Option<RetentionRule>,
) -> Result<(), Error> {
    names::topic(topic)?;
    topics.existing(topic).await?.set_retention(rule).await
}

pub(super) async fn add_source<S: TableSources>(
    topics: &Topics<S>,
    new: &NewSource,
) -> Result<AddedSource, Error> {
    let mut source =
        topics.source(new.table.as_str()).on(new.changes).payload(new.payload).on_failure(new.on_failure);
    if let Some(filter) = &new.filter {
        source = source.filter(filter);
    }
    if let Some(key) = &new.key {
        source = source.partition_by(key);
    }
    let source = if new.replicated { source.replicated() } else { source };
    let source = if new.replaces { source.replace() } else { source };
    source.add(new.topic.clone()).await
}
