//! One topic of an ordered reader.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::Instant;

use crate::Error;
use crate::log::{Log, LogReader, Page, PartitionStart, Start};
use crate::store::BoxFuture;

/// A topic to read, of the log that has it.
#[derive(Clone)]
pub(super) struct OrderedSource {
    pub(super) log: Arc<dyn Log>,
    pub(super) topic: Arc<str>,
    pub(super) start: Start,
}

/// A partition that is followed.
#[derive(Clone, Debug)]
pub(super) struct Followed {
    pub(super) topic: Arc<str>,
    pub(super) partition: i32,
    /// Where reading began, and where the past ends.
    pub(super) start: i64,
    pub(super) end: i64,
    /// In front of this offset all is read, or deleted, or has never been a record.
    pub(super) reached: i64,
    /// How long it was waited for since its last record, without the time in which it was paused.
    pub(super) waited: Duration,
    /// When it brought its last records.
    pub(super) fed: Option<Instant>,
}

impl Followed {
    /// Returns where to open it.
    pub(super) fn position(&self) -> (i32, PartitionStart) {
        (self.partition, PartitionStart::Offset(self.start))
    }

    /// Notes that nothing in front of this offset will come any more. A broker that lags behind may say less than is known.
    pub(super) fn reach(&mut self, offset: i64) {
        self.reached = self.reached.max(offset);
    }
}

/// Partitions that were added, each with the index of its topic and its reader.
pub(super) type Look = BoxFuture<'static, Vec<(usize, Followed, Box<dyn LogReader>)>>;

/// A topic with its open reader, and with those of partitions that were added later.
pub(super) struct TopicReader {
    pub(super) log: Arc<dyn Log>,
    pub(super) topic: Arc<str>,
    readers: Vec<Box<dyn LogReader>>,
    /// The index in the merge of each partition, and its reader.
    partitions: HashMap<i32, (usize, usize)>,
    turn: usize,
}

impl TopicReader {
    /// Opens the partitions of a topic, whose place among all is their index in the merge.
    ///
    /// # Errors
    /// Those of [`Log::open`].
    pub(super) async fn open(source: OrderedSource, all: &[Followed]) -> Result<Self, Error> {
        let OrderedSource { log, topic, .. } = source;
        let mut this = Self { log, topic, readers: Vec::new(), partitions: HashMap::new(), turn: 0 };
        let own: Vec<_> = all.iter().enumerate().filter(|(_, one)| one.topic == this.topic).collect();
        let starts: Vec<_> = own.iter().map(|(_, followed)| followed.position()).collect();
        let reader = this.log.open(&this.topic, &starts).await?;
        this.add(&own, reader);
        Ok(this)
    }

    /// Follows the partitions of an open reader, each with its index in the merge.
    pub(super) fn add(&mut self, added: &[(usize, &Followed)], reader: Box<dyn LogReader>) {
        for (index, followed) in added {
            self.partitions.insert(followed.partition, (*index, self.readers.len()));
        }
        self.readers.push(reader);
    }

    /// Returns the partitions that are followed.
    pub(super) fn partitions(&self) -> Vec<i32> {
        self.partitions.keys().copied().collect()
    }

    /// Returns the index in the merge of a partition.
    pub(super) fn index(&self, partition: i32) -> Option<usize> {
        self.partitions.get(&partition).map(|(index, _)| *index)
    }

    /// Yields the next page that is there.
    ///
    /// # Errors
    /// Those of [`LogReader::poll_page`].
    pub(super) fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>> {
        for _ in 0..self.readers.len() {
            self.turn = (self.turn + 1) % self.readers.len();
            if let Poll::Ready(page) = self.readers[self.turn].poll_page(max, cx) {
                return Poll::Ready(page);
            }
        }
        Poll::Pending
    }

    /// Stops pages of a partition, or resumes them.
    pub(super) fn set_paused(&mut self, partition: i32, is_paused: bool) {
        let Some((_, reader)) = self.partitions.get(&partition) else { return };
        let reader = &mut self.readers[*reader];
        if is_paused { reader.pause(partition) } else { reader.resume(partition) }
    }
}
