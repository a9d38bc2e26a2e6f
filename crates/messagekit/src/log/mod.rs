//! Reading ordered partitions without consuming them.

use std::sync::Arc;
use std::task::{Context, Poll};

use jiff::Timestamp;

use crate::store::BoxFuture;
use crate::{Error, Message, Position};

/// A message with its coordinates and the time its log gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The message.
    pub message: Message,
    /// Where it stands.
    pub position: Position,
    /// When the log took it, by the log's clock.
    pub timestamp: Timestamp,
}

/// The offsets of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The partition.
    pub partition: i32,
    /// The first offset that is still kept.
    pub earliest: i64,
    /// The offset that the next record will get.
    pub end: i64,
}

/// Where reading a partition starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the first record that is kept.
    Earliest,
    /// Behind the last record.
    End,
    /// At this offset; at one that is not written yet, reading waits for it.
    Offset(i64),
}

/// What a reader yields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Page {
    /// Records of one partition, in order.
    Records(Vec<Record>),
    /// Everything that was written to a partition so far has been read; reading goes on when more comes.
    End {
        /// The partition.
        partition: i32,
        /// The offset that the next record will get.
        at: i64,
    },
    /// Records were deleted before they could be read; reading goes on at `earliest`.
    Gone {
        /// The partition.
        partition: i32,
        /// The offset that was asked for.
        asked: i64,
        /// The first offset that is still kept.
        earliest: i64,
    },
}

/// Ordered partitions that anybody may read at any place: Kafka, or log tables.
pub trait Log: Send + Sync {
    /// Returns the offsets of each partition of a topic, by partition.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such topic.
    fn bounds<'a>(&'a self, topic: &'a str) -> BoxFuture<'a, Result<Vec<Bounds>, Error>>;

    /// Opens a reader over some partitions of a topic.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when there is no such topic or partition.
    fn open<'a>(
        &'a self,
        topic: &'a Arc<str>,
        partitions: &'a [(i32, Start)],
    ) -> BoxFuture<'a, Result<Box<dyn LogReader>, Error>>;
}

/// A reader that goes on: opening again for each page would cost ten times as much on Kafka.
pub trait LogReader: Send {
    /// Yields the next page of at most `max` records. Each partition yields one `End` per time it runs dry.
    ///
    /// # Errors
    /// Transient when the backend does not answer: poll again.
    fn poll_page(&mut self, max: usize, cx: &mut Context<'_>) -> Poll<Result<Page, Error>>;

    /// Stops pages of a partition.
    fn pause(&mut self, partition: i32);

    /// Goes on with a paused partition.
    fn resume(&mut self, partition: i32);

    /// Goes on reading a partition at an offset.
    fn seek(&mut self, partition: i32, offset: i64);
}
