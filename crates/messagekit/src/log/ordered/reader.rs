//! Reads topics of any logs in the order of their time.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::num::NonZeroUsize;
use std::task::Poll;
use std::time::Duration;

use futures_util::Stream;
use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::merge::{MergeCore, MergeCounts};
use super::merge_partition::MergePartition;
use super::merge_record::MergeRecord;
use super::partition_state::PartitionState;
use super::stats::{OrderedStats, Reporter};
use super::topic_reader::{Followed, Look, TopicReader};
use crate::Error;
use crate::log::Record;

/// Reads topics in the order of their time: all of the past that they have when it is opened, then what is new, as it arrives.
///
/// It only reads: no position of any consumer moves. The order is that of [`MergeCore`]: by time, topic, partition and offset; the
/// records of a partition keep their offsets in order, whatever their times are. The past ends where each partition ended when the reader
/// was opened; a restart with some topic at its end already waits for none.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
/// use messagekit::Message;
/// use messagekit::adapter::Publisher;
/// use messagekit::log::{OrderedReader, Start};
/// use messagekit_memory::MemoryLog;
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
/// let log = Arc::new(MemoryLog::new(3));
/// log.publish(&[Message::new("orders", "1"), Message::new("payments", "2"), Message::new("orders", "3")]).await;
/// let builder = OrderedReader::builder().source(log.clone(), "orders", Start::Earliest);
/// let mut reader = builder.source(log, "payments", Start::Ago(Duration::from_secs(3_600))).open().await?;
/// let mut payloads = Vec::new();
/// while !reader.is_live() {
///     payloads.extend(reader.poll(Duration::from_secs(1)).await?.into_iter().map(|record| record.message.payload));
/// }
/// assert_eq!(payloads.len(), 3);
/// # Ok::<(), messagekit::Error>(())
/// # }).unwrap();
/// ```
pub struct OrderedReader {
    pub(super) core: MergeCore<Record>,
    pub(super) topics: Vec<TopicReader>,
    pub(super) followed: Vec<Followed>,
    /// The rest of pages for which the buffer had no room.
    pub(super) pages: VecDeque<(usize, VecDeque<Record>)>,
    pub(super) batch_size: NonZeroUsize,
    pub(super) turn: usize,
    pub(super) deleted: u64,
    pub(super) look_every: Duration,
    /// A lasting error that came with records.
    failed: Option<Error>,
    /// A live reader is looking for partitions.
    pub(super) look: Option<Look>,
    /// When it has looked.
    pub(super) looked: Option<Instant>,
    pub(super) reporter: Reporter,
}

impl OrderedReader {
    pub(super) fn new(
        topics: Vec<TopicReader>,
        followed: Vec<Followed>,
        mut core: MergeCore<Record>,
        batch_size: NonZeroUsize,
        look_every: Duration,
        stats: OrderedStats,
    ) -> Self {
        let empty = followed.iter().enumerate().filter(|(_, followed)| followed.start >= followed.end);
        empty.for_each(|(index, _)| core.on_end(index));
        let mut this = Self {
            core,
            topics,
            followed,
            pages: VecDeque::new(),
            batch_size,
            turn: 0,
            deleted: 0,
            look_every,
            failed: None,
            look: None,
            looked: None,
            reporter: Reporter::to(stats),
        };
        this.steer();
        this.report();
        this
    }

    /// Returns the next records, in order: at most a batch, and none if none can be released within `timeout`. Does not wait for more when
    /// there are some.
    ///
    /// # Errors
    /// A transient error if a log does not answer: poll again, nothing that was read is lost. Others are those of the log.
    ///
    /// # Cancel safety
    /// Safe: a record leaves the reader only with the answer.
    pub async fn poll(&mut self, timeout: Duration) -> Result<Vec<Record>, Error> {
        let record = |merged: MergeRecord<Record>| {
            let MergeRecord { time, mut record, .. } = merged;
            record.timestamp = record.timestamp.or(time.filter(|time| *time > Timestamp::MIN));
            record
        };
        Ok(self.poll_merged(timeout).await?.into_iter().map(record).collect())
    }

    /// As [`poll`](Self::poll), with the time that orders each record.
    pub(crate) async fn poll_merged(&mut self, timeout: Duration) -> Result<Vec<MergeRecord<Record>>, Error> {
        let deadline = later(Instant::now(), timeout);
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        loop {
            let read = poll_fn(|cx| Poll::Ready(self.read(cx))).await;
            let records = self.take();
            if !records.is_empty() {
                // The log may say only once that it cannot go on.
                self.failed = read.err().filter(|error| !error.is_transient());
                return Ok(records);
            }
            if read? {
                // A log that always has a page must not keep the thread to itself.
                tokio::task::yield_now().await;
                continue;
            }
            let begun = Instant::now();
            let until = deadline.min(self.next_change(begun));
            let read = timeout_at(until, poll_fn(|cx| self.wait(cx))).await;
            self.note_wait(begun);
            match read {
                Ok(read) => read?,
                Err(_) if Instant::now() < deadline => {}
                Err(_) => return Ok(self.take()),
            }
        }
    }

    /// Returns a stream of the batches, without empty ones. It never ends; after an error it goes on.
    pub fn into_stream(self) -> impl Stream<Item = Result<Vec<Record>, Error>> + Send {
        const WHILE: Duration = Duration::from_secs(3_600);
        futures_util::stream::unfold(self, async |mut reader| {
            loop {
                match reader.poll(WHILE).await {
                    Ok(records) if records.is_empty() => {}
                    answer => return Some((answer, reader)),
                }
            }
        })
    }

    /// Returns whether all of the past is released: records come as they arrive from now on.
    pub fn is_live(&self) -> bool {
        self.core.is_live()
    }

    /// Returns how far it is in each partition, by topic and partition.
    pub fn partition_state(&self) -> Vec<PartitionState> {
        let state = |(followed, known): (&Followed, &MergePartition<Record>)| PartitionState {
            topic: followed.topic.clone(),
            partition: followed.partition,
            replay_start_offset: followed.start,
            replay_end_offset: followed.end,
            consumed_offset: known.consumed().unwrap_or(followed.start),
            released_offset: known.released().unwrap_or(followed.start),
            last_consumed_timestamp: known.consumed_at(),
            is_live: known.is_live(),
            is_paused: known.is_paused(),
        };
        let mut states: Vec<_> = self.followed.iter().zip(self.core.partitions()).map(state).collect();
        states.sort_by(|one, other| (&one.topic, one.partition).cmp(&(&other.topic, other.partition)));
        states
    }

    /// Returns the number of records that were read and are not released.
    pub fn held_message_count(&self) -> usize {
        self.core.held() + self.pages.iter().map(|(_, page)| page.len()).sum::<usize>()
    }

    /// Returns the number of partitions that are not read for now.
    pub fn paused_partition_count(&self) -> usize {
        self.core.partitions().iter().filter(|known| known.is_paused()).count()
    }

    /// Returns the time up to which all records of the past are known; `None` before every partition has shown a time, and once the reader
    /// is live.
    pub fn get_priming_watermark(&mut self) -> Option<Timestamp> {
        self.core.watermark()
    }

    /// Returns the number of records that came in and went out, of those that were late or ahead of the clock, and how often partitions were
    /// paused.
    pub fn counts(&self) -> MergeCounts {
        self.core.counts()
    }

    /// Returns how many offsets were deleted before they were read.
    pub fn deleted(&self) -> u64 {
        self.deleted
    }
}

impl std::fmt::Debug for OrderedReader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OrderedReader")
            .field("partitions", &self.followed.len())
            .field("held", &self.held_message_count())
            .field("is_live", &self.is_live())
            .finish_non_exhaustive()
    }
}

/// Returns a time behind another one, and a day for what no clock can say.
pub(super) fn later(now: Instant, by: Duration) -> Instant {
    now.checked_add(by).unwrap_or(now + Duration::from_secs(86_400))
}
