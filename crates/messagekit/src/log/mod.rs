//! Reading ordered partitions without consuming them.

mod known_source;
mod ordered;
mod received;
mod start;

use std::sync::Arc;
use std::task::{Context, Poll};

use jiff::Timestamp;

pub use known_source::{Change, Changes, KnownSource, OnSourceFailure, RowPayload, SourceFault};
pub use ordered::{
    MergeCore, MergeCounts, MergePartition, MergeRecord, MergeSettings, OrderedReader, OrderedReaderBuilder,
    OrderedReaderState, OrderedReaderStats, OrderedStats, PartitionState,
};
pub use start::Start;

use crate::store::BoxFuture;
use crate::{Error, ErrorKind, Message, Position};

/// A message with its position and the timestamp of its log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The message.
    pub message: Message,
    /// The position of the record.
    pub position: Position,
    /// The time at which the log stored it, by the log's clock, or the time that its writer gave it. A log of a database knows it always.
    pub timestamp: Option<Timestamp>,
    /// The log has no value for its key, not even an empty one: a tombstone of Kafka. Its payload is empty.
    pub is_tombstone: bool,
}

impl Record {
    /// Returns the time at which the log stored it; the beginning of 1970 for a record of a broker that has none.
    pub fn stored_at(&self) -> Timestamp {
        self.timestamp.unwrap_or(Timestamp::UNIX_EPOCH)
    }
}

/// The offsets of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The partition.
    pub partition: i32,
    /// The first offset that the log still retains.
    pub earliest: i64,
    /// The offset of the next record.
    pub end: i64,
}

impl Bounds {
    /// Returns an error of kind [`ErrorKind::OutOfRange`]: the text says what the offset is, and the values `partition`, `offset`, `earliest`
    /// and `end` what there is.
    pub fn out_of_range(&self, text: &'static str, offset: i64) -> Error {
        Error::new(ErrorKind::OutOfRange, text)
            .with("partition", self.partition)
            .with("offset", offset)
            .with("earliest", self.earliest)
            .with("end", self.end)
    }
}

/// The start of reading in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PartitionStart {
    /// The first retained record.
    Earliest,
    /// Behind the last record.
    End,
    /// This offset. If it is not written yet, the reader waits for it.
    Offset(i64),
}

impl PartitionStart {
    /// Returns the offset in a partition.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfRange`], with the values `offset`, `earliest` and `end`, for an offset that the partition does not have.
    pub fn within(self, bounds: &Bounds) -> Result<i64, Error> {
        match self {
            Self::Earliest => Ok(bounds.earliest),
            Self::End => Ok(bounds.end),
            Self::Offset(offset) if (bounds.earliest..=bounds.end).contains(&offset) => Ok(offset),
            Self::Offset(offset) => {
                Err(bounds.out_of_range("partition has no record at this offset", offset))
            }
        }
    }
}

/// A result of a reader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// Records of one partition, in order.
    Records(Vec<Record>),
    /// The reader has reached the end of a partition. Reading resumes when more records arrive.
    End {
        /// The partition.
        partition: i32,
        /// The offset of the next record.
        at: i64,
    },
    /// Records were deleted before the reader reached them. Reading resumes at `earliest`.
    Gone {
        /// The partition.
        partition: i32,
        /// The offset that the reader requested.
        asked: i64,
        /// The first offset that the log still retains.
        earliest: i64,
    },
}

/// Ordered partitions that any process may read at any position: Kafka or log tables.
pub trait Log: Send + Sync {
    /// Returns the offsets of each partition of a topic, ordered by partition.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the topic does not exist. A transient error if the backend does
    /// not answer: retry.
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>>;

    /// Returns the partitions of a topic, each with the offset of its first record of this time or later, or with its end if it has none.
    ///
    /// # Errors
    /// As [`bounds`](Self::bounds).
    fn offsets_at<'a>(
        &'a self,
        topic: &'a str,
        time: Timestamp,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>>;

    /// Returns the partitions of a topic in which a consumer has a position, each with the offset that it reads next. It may lie outside of
    /// the bounds.
    ///
    /// # Errors
    /// As [`bounds`](Self::bounds).
    fn committed_offsets<'a>(
        &'a self,
        topic: &'a str,
        consumer: &'a str,
    ) -> BoxFuture<'a, Result<Vec<(i32, i64)>, Error>>;

    /// Opens a reader of some partitions of a topic.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the topic or a partition does not exist. A transient error if the
    /// backend does not answer: retry.
    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, PartitionStart)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>>;
}

/// A reader that stays open across pages. Reopening for each page would cost ten times as much on Kafka.
pub trait LogReader: Send {
    /// Yields the next page of at most `max` records. Each partition yields one `End` each time the reader reaches its end.
    ///
    /// # Errors
    /// A transient error if the backend does not answer: poll again.
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>>;

    /// Stops pages of a partition.
    fn pause(&mut self, partition: i32);

    /// Resumes a paused partition.
    fn resume(&mut self, partition: i32);

    /// Continues reading a partition at an offset.
    fn seek(&mut self, partition: i32, offset: i64);
}
