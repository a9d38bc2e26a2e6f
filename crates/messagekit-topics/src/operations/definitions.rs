//! Topics and sources that are made by their names.

use messagekit::log::{AddedSource, RetentionRule, TableSources, TopicStore};

use super::names;
use super::requests::{NewSource, NewTopic};
use crate::{Error, Topics};

/// The most partitions of a topic that is made by its name: each is a row, and a transaction makes them all.
const MAX_PARTITIONS: u32 = 10_000;

pub(super) async fn create<S: TopicStore>(topics: &Topics<S>, new: &NewTopic) -> Result<bool, Error> {
    if new.partitions.get() > MAX_PARTITIONS {
        let text = format!("a topic has at most {MAX_PARTITIONS} partitions");
        return Err(messagekit::Error::new(messagekit::ErrorKind::InvalidConfiguration, text).into());
    }
    if topics.definition(new.topic.clone()).await?.is_some() {
        return Ok(false);
    }
    let mut builder =
        topics.untyped(new.topic.clone()).partitions(new.partitions).dedup(new.dedup.iter().cloned());
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
