//! Joins a consumer of an in-memory log.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::{
    BatchLimit, BoxFuture, Capabilities, NextOffset, RememberedOffsets, Source, TopicList, check_topic,
};
use messagekit::{Error, ErrorKind};

use super::MemorySubscriber;
use super::state::Shared;

/// Represents the topics of a [`MemoryLog`](super::MemoryLog) that a consumer reads.
#[derive(Clone)]
pub struct MemorySource {
    log: Arc<Shared>,
    topics: Vec<Arc<str>>,
    memory: Option<Arc<dyn RememberedOffsets>>,
    since: Option<Timestamp>,
}

impl MemorySource {
    pub(super) fn new(log: Arc<Shared>, topics: Vec<Arc<str>>) -> Self {
        Self { log, topics, memory: None, since: None }
    }

    /// Starts a consumer at the first record that was written at `time` or later, in each partition that it has not read yet. A
    /// time to come begins at the end.
    #[must_use]
    pub fn since(mut self, time: Timestamp) -> Self {
        self.since = Some(time);
        self
    }
}

impl Source for MemorySource {
    type Subscriber = MemorySubscriber;

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            system: "messagekit",
            persistent: false,
            shares_work: true,
            positions: true,
            any_order: true,
            batch: BatchLimit::DEFAULT,
        }
    }

    fn topics(&self) -> &[Arc<str>] {
        &self.topics
    }

    fn topic_list(&self) -> Option<Arc<dyn TopicList>> {
        Some(Arc::new(LogTopics(Arc::clone(&self.log))))
    }

    fn consult(&mut self, memory: Arc<dyn RememberedOffsets>) {
        self.memory = Some(memory);
    }

    /// A consumer that was primed begins at its recorded positions. Those of any other one may be of a log that is gone.
    async fn bind(self, consumer: &str, remembered: &[NextOffset]) -> Result<MemorySubscriber, Error> {
        if self.topics.is_empty() {
            return Err(Error::new(
                ErrorKind::InvalidConfiguration,
                "a source without topics delivers nothing",
            ));
        }
        self.topics.iter().try_for_each(|topic| check_topic(topic))?;
        if consumer.is_empty() || consumer.len() > 200 || consumer.contains(char::is_control) {
            let text = format!("consumer name {consumer:?} is not 1 to 200 bytes without control characters");
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        let is_primed = match &self.memory {
            // Without an answer everything comes, and the markers of the database say what was handled.
            Some(memory) => memory.is_primed().await.unwrap_or(false),
            None => false,
        };
        let remembered = if is_primed { remembered } else { &[] };
        let member = self.log.change(|state| {
            state.members += 1;
            let group = state.groups.entry(consumer.to_owned()).or_default();
            group.join(state.members, self.topics);
            for (name, topic) in &state.topics {
                let first = |partition: usize| {
                    let records = &topic.partitions[partition];
                    first_of(remembered, name, partition)
                        .or_else(|| self.since.map(|time| records.first_since(time)))
                        .map_or(0, |first| first.min(records.end()) as u64)
                };
                group.see_topic(name, topic.partitions.len(), first);
            }
            group.rebalance();
            state.members
        });
        Ok(MemorySubscriber::new(self.log, consumer.to_owned(), member))
    }
}

/// Returns the smallest position of a consumer's key lanes in a partition.
fn first_of(remembered: &[NextOffset], topic: &str, partition: usize) -> Option<usize> {
    let of_partition = |known: &&NextOffset| {
        *known.topic == *topic && usize::try_from(known.partition).is_ok_and(|known| known == partition)
    };
    let first = remembered.iter().filter(of_partition).map(|known| known.next).min();
    first.map(|first| usize::try_from(first).unwrap_or(0))
}

/// The topics of a log.
struct LogTopics(Arc<Shared>);

impl TopicList for LogTopics {
    fn topics(&self) -> BoxFuture<'_, Result<Vec<String>, Error>> {
        let names = self.0.with(|state| state.topics.keys().map(ToString::to_string).collect());
        Box::pin(std::future::ready(Ok(names)))
    }
}

impl fmt::Debug for MemorySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemorySource").field("topics", &self.topics).finish_non_exhaustive()
    }
}
