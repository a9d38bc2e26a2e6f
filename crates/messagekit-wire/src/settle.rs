//! `POST /v1/api/topics/ack`, `nack` and `extend`.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// Records that were handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    /// The topic.
    pub topic_id: String,
    /// The group.
    pub group_id: String,
    /// The partition of the claim.
    #[serde(default)]
    pub partition_id: i32,
    /// The last record: those of its claim up to it are handled. Without `claim_id` it names the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upto_offset: Option<i64>,
    /// The claim; without `upto_offset` and `offsets` all that it still holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<String>,
    /// Exactly these records of the claim.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offsets: Option<Vec<i64>>,
}

impl Acknowledge {
    /// Says that all records which a claim still holds were handled.
    pub fn all(
        topic: impl Into<String>,
        group: impl Into<String>,
        partition: i32,
        claim: impl Into<String>,
    ) -> Self {
        Self {
            topic_id: topic.into(),
            group_id: group.into(),
            partition_id: partition,
            upto_offset: None,
            claim_id: Some(claim.into()),
            offsets: None,
        }
    }

    /// Says that the records of the claim which holds this offset were handled, up to it.
    pub fn up_to(topic: impl Into<String>, group: impl Into<String>, partition: i32, offset: i64) -> Self {
        Self { upto_offset: Some(offset), claim_id: None, ..Self::all(topic, group, partition, "") }
    }
}

/// What is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Acknowledged {
    /// It is done.
    pub success: bool,
    /// The last offset of the partition's prefix that the group has finished, as it is stored; none before the first.
    pub acknowledged_offset: Option<i64>,
}

/// Records that could not be handled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct GiveBack {
    /// The topic.
    pub topic_id: String,
    /// The group.
    pub group_id: String,
    /// The partition of the claim.
    #[serde(default)]
    pub partition_id: i32,
    /// The claim.
    pub claim_id: String,
    /// The last of the records of the claim; without it and without `offsets` all that it still holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upto_offset: Option<i64>,
    /// Exactly these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offsets: Option<Vec<i64>>,
    /// When they may be claimed again.
    #[serde(default)]
    pub delay_seconds: u64,
    /// False for records that were not tried: this attempt does not count, and they may be claimed at once.
    #[serde(default = "tried")]
    pub tried: bool,
    /// Why: it stands with the failed message when the attempts are used up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

impl GiveBack {
    /// Gives back all records that a claim still holds, and that were not tried.
    pub fn untried(
        topic: impl Into<String>,
        group: impl Into<String>,
        partition: i32,
        claim: impl Into<String>,
    ) -> Self {
        Self {
            topic_id: topic.into(),
            group_id: group.into(),
            partition_id: partition,
            claim_id: claim.into(),
            upto_offset: None,
            offsets: None,
            delay_seconds: 0,
            tried: false,
            error: None,
        }
    }
}

fn tried() -> bool {
    true
}

/// It is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Done {
    /// It is done.
    pub success: bool,
}

/// A claim that is needed for longer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Extend {
    /// The topic.
    pub topic_id: String,
    /// The group.
    pub group_id: String,
    /// The partition of the claim.
    #[serde(default)]
    pub partition_id: i32,
    /// The claim.
    pub claim_id: String,
    /// How long its lease lasts from now; 60 by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_seconds: Option<u64>,
}

/// The lease of a claim.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Extended {
    /// It is done.
    pub success: bool,
    /// Its end, in milliseconds since 1970.
    pub lease_until_ms: i64,
}
