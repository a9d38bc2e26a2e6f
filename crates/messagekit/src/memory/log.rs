//! Topics and partitions in memory.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;

use super::state::Shared;
use super::{MemorySource, reader};
use crate::log::{Bounds, Log, LogReader, Record, Start};
use crate::store::BoxFuture;
use crate::transport::{PublishError, PublishErrorKind, Published, Publisher};
use crate::{Error, ErrorKind, MAX_PAYLOAD_BYTES, Message, check_topic};

/// A log in memory: [`Publisher`], [`Log`] and, through [`topics`](Self::topics), a [`Source`](crate::Source).
///
/// A topic comes into being with its first record. A record's key decides its partition by a stable hash; records without
/// a key go round-robin, one partition per batch. Cloning gives another handle of the same log.
///
/// Members of one consumer share its partitions, one lane each; joining and leaving moves as few lanes as evenness allows.
/// Epochs grow with every assignment of the consumer. What is settled is committed at once, up to the end of the
/// contiguous settled prefix; a released record is delivered again in its lane, before those not delivered yet.
#[derive(Clone)]
pub struct MemoryLog {
    shared: Arc<Shared>,
    partitions: NonZeroUsize,
}

impl MemoryLog {
    /// Makes an empty log whose topics have `partitions` partitions; 0 counts as 1.
    pub fn new(partitions: usize) -> Self {
        Self { shared: Shared::new(), partitions: NonZeroUsize::new(partitions).unwrap_or(NonZeroUsize::MIN) }
    }

    /// Names the topics that a consumer reads; those that do not exist yet are read from their first record on.
    pub fn topics(&self, topics: impl IntoIterator<Item: Into<Arc<str>>>) -> MemorySource {
        MemorySource::new(self.clone(), topics.into_iter().map(Into::into).collect())
    }

    /// Returns how many records a topic holds, 0 when there is no such topic.
    pub fn len(&self, topic: &str) -> usize {
        self.shared.with(|state| {
            let topic = state.topics.get(topic);
            topic.map_or(0, |topic| topic.partitions.iter().map(|partition| partition.records.len()).sum())
        })
    }

    /// Returns whether a topic holds no record.
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

    /// Returns the offset behind the contiguous settled prefix of a partition, 0 when the consumer settled nothing.
    pub fn committed(&self, consumer: &str, topic: &str, partition: i32) -> i64 {
        self.shared.with(|state| {
            let group = state.groups.get(consumer);
            group.map_or(0, |group| group.committed(topic, partition as usize) as i64)
        })
    }

    /// Takes every lane of a consumer away without asking and assigns it again: members see
    /// [`Lost`](crate::Incoming::Lost), then [`Assigned`](crate::Incoming::Assigned) with greater epochs, then everything
    /// that was not settled.
    pub fn lose(&self, consumer: &str) {
        self.shared.change(|state| state.groups.get_mut(consumer).into_iter().for_each(|group| group.lose()));
    }

    /// Delivers everything to a consumer again, from the first record that is kept: duplicates on purpose. Its lanes are
    /// lost first, as in [`lose`](Self::lose).
    pub fn redeliver(&self, consumer: &str) {
        self.shared.change(|state| {
            state.groups.get_mut(consumer).into_iter().for_each(|group| {
                group.rewind();
                group.lose();
            });
        });
    }

    pub(super) fn shared(&self) -> &Arc<Shared> {
        &self.shared
    }

    /// Appends messages that were checked before.
    pub(super) fn append(&self, batch: &[Message]) {
        if !batch.is_empty() {
            self.shared.change(|state| state.append(self.partitions.get(), batch));
        }
    }
}

/// Refuses what no log would take.
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
            self.append(&taken);
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

    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, Start)],
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
