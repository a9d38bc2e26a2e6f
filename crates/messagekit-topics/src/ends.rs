//! The first and the last record of a topic.

use std::sync::Arc;

use messagekit_topic_store::{PipelineStore, RecordQuery, TopicRecord};

use crate::topic::DEFAULT;
use crate::{Error, Topics};

/// When the first and the last record that a topic keeps were appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TopicEnds {
    /// When the first one was.
    pub first: jiff::Timestamp,
    /// When the last one was.
    pub last: jiff::Timestamp,
}

impl<S: PipelineStore> Topics<S> {
    /// Returns when the first and the last record of a topic were appended, or `None` for one without records.
    ///
    /// The last one is found by some fifty reads of one record each, however many there are.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) for a topic that was not defined. A transient error if the file is
    /// busy: retry.
    pub async fn ends(&self, topic: impl Into<Arc<str>>) -> Result<Option<TopicEnds>, Error> {
        let topic = topic.into();
        let Some(first) = read(self.store(), &topic, 0, 1).await?.pop() else { return Ok(None) };
        let last = newest(self.store(), &topic, 1).await?.pop();
        let (first, last) = (first.record.stored_at(), last.map(|last| last.record.stored_at()));
        Ok(Some(TopicEnds { first, last: last.unwrap_or(first) }))
    }
}

/// Returns the newest records of a topic in the order of their ids, about `wanted` of them: not fewer, unless there are.
///
/// Ids count over all topics, and those of one topic may lie anywhere. The search keeps two ids: behind the lower one there are enough
/// records, behind the upper one there are not.
pub(crate) async fn newest<S: PipelineStore>(
    store: &S,
    topic: &Arc<str>,
    wanted: u32,
) -> Result<Vec<TopicRecord>, Error> {
    let (mut enough, mut too_few) = (0, store.last_record().await?);
    // At most twice as many, so that none is left out at the end.
    let most = wanted.saturating_mul(2).saturating_add(1);
    let mut found = read(store, topic, 0, most).await?;
    while found.len() >= most as usize && too_few - enough > 1 {
        let middle = enough + (too_few - enough) / 2;
        let behind = read(store, topic, middle, most).await?;
        if behind.len() >= wanted as usize {
            (enough, found) = (middle, behind);
        } else {
            too_few = middle;
        }
    }
    Ok(found)
}

async fn read<S: PipelineStore>(
    store: &S,
    topic: &Arc<str>,
    after: i64,
    max: u32,
) -> Result<Vec<TopicRecord>, Error> {
    let query = RecordQuery { consumer: DEFAULT.into(), topic: topic.clone(), status: None, after, max };
    Ok(store.read_records(&query).await?.records)
}
