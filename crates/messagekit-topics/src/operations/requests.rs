//! What a program asks of a topic.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use messagekit::Shutdown;
use messagekit::log::{
    Changes, OnDeleted, OnSourceFailure, PartitionStart, RecordClaimId, RetentionRule, RowPayload,
};
use serde_json::Value;

/// The lease of a claim when none is asked for.
const LEASE: Duration = Duration::from_secs(60);

/// A call for records of a topic.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ConsumeRequest {
    /// The topic.
    pub topic: Arc<str>,
    /// The group for which records are claimed; without one they are only read, and nothing is stored.
    pub group: Option<Arc<str>>,
    /// Only records of this partition.
    pub partition: Option<i32>,
    /// Where to read, or where a group begins that has not read the topic; behind the last record by default.
    pub start: PartitionStart,
    /// The most records: 100 by default, and from 1 to [`MAX_LIMIT`](Self::MAX_LIMIT).
    pub limit: u32,
    /// How long to wait while there are no records; not at all by default.
    pub wait: Duration,
    /// How long the records belong to the caller; 60 s by default.
    pub lease: Duration,
    /// Where a group goes on whose next records were deleted.
    pub on_deleted: OnDeleted,
    /// Ends the wait, as its time does.
    pub shutdown: Option<Shutdown>,
}

impl ConsumeRequest {
    /// The most records of one answer.
    pub const MAX_LIMIT: u32 = 1_000;

    /// Returns a request for at most 100 new records that does not wait.
    pub fn of(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            group: None,
            partition: None,
            start: PartitionStart::End,
            limit: 100,
            wait: Duration::ZERO,
            lease: LEASE,
            on_deleted: OnDeleted::default(),
            shutdown: None,
        }
    }

    /// Claims the records for a group.
    #[must_use]
    pub fn group(self, group: impl Into<Arc<str>>) -> Self {
        Self { group: Some(group.into()), ..self }
    }

    /// Asks for records of one partition only.
    #[must_use]
    pub fn partition(self, partition: i32) -> Self {
        Self { partition: Some(partition), ..self }
    }

    /// Sets where to read, or where a new group begins.
    #[must_use]
    pub fn start(self, start: PartitionStart) -> Self {
        Self { start, ..self }
    }

    /// Sets the most records; out of the range it is the nearest number in it.
    #[must_use]
    pub fn limit(self, limit: u32) -> Self {
        Self { limit: limit.clamp(1, Self::MAX_LIMIT), ..self }
    }

    /// Sets how long to wait while there are no records.
    #[must_use]
    pub fn wait(self, wait: Duration) -> Self {
        Self { wait, ..self }
    }
}

/// What a caller says of records that it has claimed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The topic.
    pub topic: Arc<str>,
    /// The group.
    pub group: Arc<str>,
    /// The partition of the claim.
    pub partition: i32,
    /// The claim.
    pub claim: RecordClaimId,
    /// Which of its records.
    pub offsets: ClaimedOffsets,
    /// How long an [extended](super::TopicOperations::extend) lease lasts.
    pub lease: Duration,
}

impl Settle {
    /// Returns what a caller says of all records that a claim holds; a lease lasts 60 s.
    pub fn all(
        topic: impl Into<Arc<str>>,
        group: impl Into<Arc<str>>,
        partition: i32,
        claim: RecordClaimId,
    ) -> Self {
        let (topic, group) = (topic.into(), group.into());
        Self { topic, group, partition, claim, offsets: ClaimedOffsets::All, lease: LEASE }
    }
}

/// Records of a claim.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ClaimedOffsets {
    /// Those that it still holds.
    #[default]
    All,
    /// Those that it still holds, up to this offset and with it.
    UpTo(i64),
    /// Exactly these.
    These(Vec<i64>),
}

/// What to do with a record whose dedup fields the topic knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnDuplicateRecord {
    /// Append nothing of the call: [`ErrorKind::Duplicate`](messagekit::ErrorKind::Duplicate).
    #[default]
    Refuse,
    /// Append the others.
    Skip,
}

/// A topic that is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewTopic {
    /// Its name.
    pub topic: Arc<str>,
    /// The number of its partitions.
    pub partitions: NonZeroU32,
    /// How long it keeps its records, or `None` for ever.
    pub retention: Option<RetentionRule>,
    /// The field that is the key of a record, if any.
    pub key: Option<String>,
    /// The fields that no two records may have in common.
    pub dedup: Vec<String>,
    /// Its events also go to a broker.
    pub is_published: bool,
    /// The JSON Schema of its records, or `None` for any object.
    pub schema: Option<Value>,
}

impl NewTopic {
    /// Returns a topic of one partition that takes any object and keeps it for ever.
    pub fn named(topic: impl Into<Arc<str>>) -> Self {
        Self {
            topic: topic.into(),
            partitions: NonZeroU32::MIN,
            retention: None,
            key: None,
            dedup: Vec::new(),
            is_published: false,
            schema: None,
        }
    }
}

/// A table whose changes are to become events.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NewSource {
    /// The topic.
    pub topic: Arc<str>,
    /// The table, as SQL names it.
    pub table: String,
    /// Which changes.
    pub changes: Changes,
    /// Only rows for which this expression is true.
    pub filter: Option<String>,
    /// The expression whose value is the key of an event, or `None` for the primary key.
    pub key: Option<String>,
    /// What an event holds of a row.
    pub payload: RowPayload,
    /// What becomes of a write whose event cannot be written.
    pub on_failure: OnSourceFailure,
    /// Rows that replication applies to the table are events, too.
    pub replicated: bool,
    /// Replaces a source that has other rules.
    pub replaces: bool,
}

impl NewSource {
    /// Returns a source with whole rows of every change.
    pub fn of(topic: impl Into<Arc<str>>, table: impl Into<String>) -> Self {
        Self {
            topic: topic.into(),
            table: table.into(),
            changes: Changes::ALL,
            filter: None,
            key: None,
            payload: RowPayload::default(),
            on_failure: OnSourceFailure::default(),
            replicated: false,
            replaces: false,
        }
    }
}
