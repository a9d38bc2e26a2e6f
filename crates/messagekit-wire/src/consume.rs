//! `POST /v1/api/topics/consume`.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::{OnDeleted, Start, TopicMessage};

/// A request for records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Consume {
    /// The topic.
    pub topic_id: String,
    /// The group for which records are claimed; without one, or with an empty one, they are only read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group_id: Option<String>,
    /// `Latest`, `Earliest` or `{"Offset": n}`: where to read, or where a group begins that has not read the topic. Without it, `Latest`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub start: Option<Start>,
    /// The most records: 100 by default, from 1 to 1,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u32>,
    /// Only records of this partition. Without it a group claims from all of them, and a reader over HTTP reads partition 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition_id: Option<i32>,
    /// How long to wait while there are no records; over HTTP at most 25.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// How long the records belong to the caller; 60 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
    /// Where a group goes on whose next records were deleted: `earliest` by default, `latest`, or `fail`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_deleted: Option<OnDeleted>,
}

impl Consume {
    /// Returns a request for new records of a topic, without a group, that does not wait.
    pub fn of(topic: impl Into<String>) -> Self {
        Self {
            topic_id: topic.into(),
            group_id: None,
            start: None,
            limit: None,
            partition_id: None,
            timeout_seconds: None,
            lease_seconds: None,
            on_deleted: None,
        }
    }
}

/// Records, and how to go on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct ConsumeAnswer {
    /// The records; those of a claim are of one partition, in the order of their offsets.
    pub messages: Vec<TopicMessage>,
    /// The offset behind the last record, or where the reader is if there is no record.
    pub next_offset: Option<i64>,
    /// There may be more records now.
    pub has_more: bool,
    /// The claim that holds the records of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub claim_id: Option<String>,
    /// The end of its lease, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub lease_until_ms: Option<i64>,
    /// Records that were deleted before the group settled them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deleted: Vec<Deleted>,
}

/// Offsets that were deleted before a group settled them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Deleted {
    /// Their partition.
    pub partition_id: i32,
    /// The first of them.
    pub from: i64,
    /// The first offset behind them.
    pub to: i64,
}
