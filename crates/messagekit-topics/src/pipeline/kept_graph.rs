//! The graph that a database knows of its topics, also without the program that runs its pipelines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use messagekit::MessageId;
use messagekit::operations::{FailedMessageFilter, FailedMessageState, Operations};
use messagekit_topic_store::{PipelineStore, TopicView};
use serde_json::Value;

use super::arm::cause;
use super::plot;
use crate::ends::newest;
use crate::topic::DEFAULT;
use crate::{Error, Topics};

/// How many of the newest records of a topic are asked for their causes, at least.
const NEWEST: u32 = 200;
/// The most failed messages in a state that are counted.
const FAILED: u32 = 1_000;

/// Topics and their consumers.
type Consumers = BTreeMap<Arc<str>, BTreeSet<Arc<str>>>;
/// The numbers of failed messages of topics and consumers.
type Failed = BTreeMap<(Arc<str>, String), u64>;

impl<S: PipelineStore + Operations> Topics<S> {
    /// Returns the topics of the database as a Mermaid diagram, with the numbers of each consumer that reads one.
    ///
    /// Functions are known to their program alone. The edges are those that records tell of: one leads from a topic to another if, of the
    /// newest 200 records there, one names a record here as its cause, as outputs of pipelines do.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    pub async fn plot(&self) -> Result<String, Error> {
        let topics: Vec<Arc<str>> =
            self.definitions().await?.into_iter().map(|definition| definition.name).collect();
        let mut edges: Vec<(Arc<str>, Option<Arc<str>>)> = Vec::new();
        for topic in &topics {
            let sources = sources(self.store(), topic).await?;
            edges.extend(sources.into_iter().map(|source| (source, Some(topic.clone()))));
        }
        let is_alone = |topic: &Arc<str>| {
            edges.iter().all(|(source, target)| source != topic && target.as_ref() != Some(topic))
        };
        let alone: Vec<_> =
            topics.iter().filter(|topic| is_alone(topic)).map(|topic| (topic.clone(), None)).collect();
        edges.sort();
        edges.extend(alone);
        let labels = labels(self.store(), &topics).await?;
        let edges = edges.iter().map(|(source, target)| (source, target.as_ref()));
        Ok(plot::edges(edges, |topic| labels.get(topic).cloned().unwrap_or_default()))
    }
}

/// Returns the topics whose records are causes of the newest records of another one.
async fn sources<S: PipelineStore + Operations>(
    store: &S,
    topic: &Arc<str>,
) -> Result<BTreeSet<Arc<str>>, Error> {
    let records = newest(store, topic, NEWEST).await?;
    let ids: Vec<MessageId> = records.iter().filter_map(cause).collect();
    let causes: BTreeSet<MessageId> =
        linked(store, &ids).await?.into_iter().filter_map(|(_, id)| id).collect();
    let causes: Vec<MessageId> = causes.into_iter().collect();
    Ok(linked(store, &causes).await?.into_iter().map(|(topic, _)| topic).filter(|of| of != topic).collect())
}

/// Returns the topics of events, and their causes.
async fn linked<S: Operations>(
    store: &S,
    ids: &[MessageId],
) -> Result<Vec<(Arc<str>, Option<MessageId>)>, Error> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let limit = u32::try_from(ids.len()).unwrap_or(u32::MAX);
    let found = store.linked_events(ids, &[], limit).await?;
    Ok(found.into_iter().map(|event| (event.topic, event.links.causation_id)).collect())
}

/// Returns what stands below the name of each topic: a line for each of its consumers.
async fn labels<S: PipelineStore + Operations>(
    store: &S,
    topics: &[Arc<str>],
) -> Result<BTreeMap<Arc<str>, String>, Error> {
    let (consumers, failed) = (consumers(store).await?, failed(store).await?);
    let mut labels = BTreeMap::new();
    for topic in topics {
        let mut label = String::new();
        let unread = BTreeSet::from([Arc::from(DEFAULT)]);
        for consumer in consumers.get(topic).unwrap_or(&unread) {
            let counts = store.count_records(consumer, topic).await?;
            let failed = failed.get(&(topic.clone(), consumer.to_string())).copied().unwrap_or(0);
            label.push_str(&format!(
                "<br/>{}: new {}, failed {failed}, handled {}, dead {}",
                plot::escaped(consumer),
                counts.new,
                counts.handled,
                counts.dead
            ));
        }
        labels.insert(topic.clone(), label);
    }
    Ok(labels)
}

/// A view has a row for each topic, consumer and partition.
async fn consumers<S: PipelineStore>(store: &S) -> Result<Consumers, Error> {
    let mut consumers = Consumers::new();
    for row in store.view_rows(TopicView::TopicOffsets).await? {
        if let [Value::String(topic), Value::String(consumer), ..] = &row[..] {
            consumers.entry(topic.as_str().into()).or_default().insert(consumer.as_str().into());
        }
    }
    Ok(consumers)
}

/// Counts the failed messages that are still to be handled.
async fn failed<S: Operations>(store: &S) -> Result<Failed, Error> {
    use FailedMessageState::{Blocked, RetryRequested, RetryScheduled};
    let mut failed = Failed::new();
    for state in [RetryScheduled, Blocked, RetryRequested] {
        let filter = FailedMessageFilter { state: Some(state), ..FailedMessageFilter::default() };
        for head in store.list(&filter, FAILED).await? {
            *failed.entry((head.topic, head.consumer)).or_default() += 1;
        }
    }
    Ok(failed)
}
