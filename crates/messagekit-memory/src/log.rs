//! Topics and partitions in memory.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::{
    BoxFuture, IntoSource, MAX_PAYLOAD_BYTES, PublishError, PublishErrorKind, Published, Publisher,
    check_topic, on_wire,
};
use messagekit::log::{Bounds, Log, LogReader, PartitionStart, Record};
use messagekit::{Error, ErrorKind, Message};

use super::state::Shared;
use super::{MemorySource, reader};

/// Implements an in-memory log: [`Publisher`], [`Log`] and, through [`topics`](Self::topics), a
/// [`Source`](messagekit::adapter::Source).
///
/// A topic is created with its first record. A stable hash of a record's key selects its partition. Records without a
/// key go round-robin, one partition per batch. A clone is a handle to the same log.
///
/// Members of one consumer share its partitions, one lane each. A join or leave moves the fewest lanes for an even
/// distribution. Epochs grow with every assignment of the consumer. Settled records are committed at once, up to the
/// end of the contiguous settled prefix. A released record is delivered again in its lane, before undelivered records.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    partitions: NonZeroUsize,
}

impl MemoryLog {
    /// Creates an empty log with `partitions` partitions per topic; 0 counts as 1.
    pub fn new(partitions: usize) -> Self {
        Self { shared: Shared::new(), partitions: NonZeroUsize::new(partitions).unwrap_or(NonZeroUsize::MIN) }
    }

    /// Returns a source of these topics; a topic that does not exist yet is read from its first record on.
    pub fn topics(&self, topics: impl IntoIterator<Item: Into<Arc<str>>>) -> MemorySource {
        MemorySource::new(Arc::clone(&self.shared), topics.into_iter().map(Into::into).collect())
    }

    /// Returns the number of records in a topic, 0 if the topic does not exist.
    pub fn len(&self, topic: &str) -> usize {
        self.shared.with(|state| {
            let topic = state.topics.get(topic);
            topic.map_or(0, |topic| topic.partitions.iter().map(|partition| partition.records.len()).sum())
        })
    }

    /// Returns whether a topic has no records.
    pub fn is_empty(&self, topic: &str) -> bool {
        self.len(topic) == 0
    }

    /// Returns the records of a topic by partition and offset.
    pub fn records(&self, topic: &str) -> Vec<Record> {
        self.shared.with(|state| {
            let topic = state.topics.get(topic);
            topic.map_or_else(Vec::new, |topic| {
                topic.partitions.iter().flat_map(|partition| partition.records.iter().cloned()).collect()
            })
        })
    }

    /// Returns the bounds of the partitions of every topic.
    pub(crate) fn all_bounds(&self) -> BTreeMap<Arc<str>, Vec<Bounds>> {
        self.shared.with(|state| {
            let bounds = |topic: &Arc<str>| Some((topic.clone(), reader::bounds(state, topic).ok()?));
            state.topics.keys().filter_map(bounds).collect()
        })
    }

    /// Deletes the records of a partition before an offset, as retention does.
    pub fn delete_before(&self, topic: &str, partition: i32, offset: i64) {
        self.shared.change(|state| {
            let topic = state.topics.get_mut(topic);
            if let Some(partition) = topic.and_then(|topic| topic.partitions.get_mut(partition as usize)) {
                let keep_from = usize::try_from(offset).unwrap_or(0).clamp(partition.start, partition.end());
                partition.records.drain(..keep_from - partition.start);
                partition.start = keep_from;
            }
        });
    }

    /// Returns the offset after the contiguous settled prefix of a partition, 0 if the consumer settled nothing.
    pub fn committed(&self, consumer: &str, topic: &str, partition: i32) -> i64 {
        self.shared.with(|state| {
            let group = state.groups.get(consumer);
            group.map_or(0, |group| group.committed(topic, partition as usize) as i64)
        })
    }

    /// Ends every assignment of a consumer without a release and assigns its lanes again. Members receive
    /// [`Lost`](messagekit::adapter::Incoming::Lost), then [`Assigned`](messagekit::adapter::Incoming::Assigned) with greater epochs, then every
    /// record that was not settled.
    pub fn lose(&self, consumer: &str) {
        self.shared.change(|state| state.groups.get_mut(consumer).into_iter().for_each(|group| group.lose()));
    }

    /// Delivers every kept record to a consumer again, to produce duplicates. Its lanes are lost first, as in
    /// [`lose`](Self::lose).
    pub fn redeliver(&self, consumer: &str) {
        self.shared.change(|state| {
            state.groups.get_mut(consumer).into_iter().for_each(|group| {
                group.rewind();
                group.lose();
            });
        });
    }

    /// Appends checked messages.
    pub(super) fn append(&self, batch: &[Message]) {
        if !batch.is_empty() {
            self.shared.change(|state| state.append(self.partitions.get(), batch));
        }
    }
}

/// The topics of the events that the consumer's handlers take.
impl IntoSource for MemoryLog {
    type Source = MemorySource;
    const FOLLOWS_HANDLERS: bool = true;

    fn into_source(self, topics: Vec<&'static str>) -> MemorySource {
        self.topics(topics)
    }
}

/// Rejects messages that no log accepts.
pub(super) fn check(message: &Message) -> Result<(), Error> {
    check_topic(&message.topic)?;
    if message.payload.len() > MAX_PAYLOAD_BYTES {
        let text =
            format!("payload of {} bytes is over the limit of {MAX_PAYLOAD_BYTES}", message.payload.len());
        return Err(Error::new(ErrorKind::TooLarge, text).with("topic", &message.topic));
    }
    Ok(())
}

impl Publisher for MemoryLog {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        Box::pin(async move {
            let mut results: Vec<Published> = Vec::with_capacity(batch.len());
            let mut taken = Vec::with_capacity(batch.len());
            for (index, message) in batch.iter().enumerate() {
                let before = batch[..index].iter().zip(&results);
                let mut same_key = before
                    .filter(|(earlier, _)| earlier.topic == message.topic && earlier.key == message.key);
                let behind = message.key.is_some() && same_key.any(|(_, result)| result.is_err());
                let result = if behind {
                    let error = Error::new(ErrorKind::Other, "an earlier message of its key was refused");
                    Err(PublishError { refusal: PublishErrorKind::KeyBlocked, error })
                } else {
                    check(message)
                        .map_err(|error| PublishError { refusal: PublishErrorKind::Rejected, error })
                };
                if result.is_ok() {
                    taken.push(message.clone());
                }
                results.push(result);
            }
            self.append(&on_wire(&taken));
            results
        })
    }

    fn max_bytes(&self) -> usize {
        MAX_PAYLOAD_BYTES
    }
}

impl Log for MemoryLog {
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>> {
        Box::pin(async move { self.shared.with(|state| reader::bounds(state, topic)) })
    }

    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move { self.shared.with(|state| reader::offsets_at(state, topic, time)) })
    }

    fn committed_offsets<'a>(
        &'a self,
        topic: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>> {
        Box::pin(async move { self.shared.with(|state| reader::committed_offsets(state, topic, consumer)) })
    }

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>> {
        Box::pin(async move { reader::open(&self.shared, topic, partitions) })
    }
}

impl fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let topics: Vec<Arc<str>> = self.shared.with(|state| state.topics.keys().cloned().collect());
        f.debug_struct("MemoryLog").field("partitions", &self.partitions).field("topics", &topics).finish()
    }
}
