//! Reading ordered partitions without consuming them.

mod handled_records;
mod key_partition;
mod ordered;
mod paged_reader;
mod pipeline_store;
mod received;
mod record_append;
mod record_claims;
mod record_reads;
mod retention_cut;
mod retention_rule;
mod start;
mod table_source;
mod topic_definitions;
mod topic_drop;
mod topic_migration;
mod topic_store;
mod topic_view;

use std::sync::Arc;
use std::task::{Context, Poll};

use jiff::Timestamp;

pub use handled_records::{HandledRecords, no_record, record_has_failed};
pub use key_partition::partition_of;
pub use ordered::{
    MergeCore, MergeCounts, MergePartition, MergeRecord, MergeSettings, OrderedReader, OrderedReaderBuilder,
    OrderedReaderState, OrderedReaderStats, OrderedStats, PartitionState,
};
pub use paged_reader::{PagedReader, Pages};
pub use pipeline_store::{NameHolder, PipelineStore};
pub use record_append::{
    AppendedRecord, NewRecord, OnDuplicate, RecordAppend, topic_was_dropped, topic_was_migrated,
};
pub use record_claims::{
    ClaimHolder, ClaimPartition, ClaimPartitions, ClaimTurns, ClaimWindow, Claimed, ClaimedRange,
    ClaimedRanges, ClaimedRecord, DecideWindows, LeaseOf, LeasedMessage, MAX_CLAIM_RANGES, NewClaim,
    OnDeleted, RecordClaim, RecordClaimId, RecordClaimer, RecordClaims, Settlement, Which, WindowDecision,
    WindowReplacement,
};
pub use record_reads::{
    CommitWatch, RecordCounts, RecordPage, RecordQuery, RecordReads, RecordStatus, TopicRecord,
};
pub use retention_cut::RetentionCut;
pub use retention_rule::RetentionRule;
pub use start::Start;
pub use table_source::{
    AddedSource, Change, Changes, KnownSource, OnSourceFailure, RowExpression, RowPayload, SourceFault,
    SqlDialect, TableSource, TableSources, VIEW_IS_NO_SOURCE,
};
pub use topic_definitions::{TopicDefinition, TopicDefinitions};
pub use topic_drop::{OnSources, check_unfed};
pub use topic_migration::{
    MigratedRecord, Swap, TopicMigration, check_migratable, check_unchanged, migration_was_replaced,
};
pub use topic_store::TopicStore;
pub use topic_view::{TopicView, ViewColumn, ViewType};

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
