//! The form of an error.

use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// An error response: what is wrong, and a code for programs.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Failure {
    /// What is wrong, and what to do.
    pub error: String,
    /// The code: `BAD_REQUEST`, `UNAUTHORIZED`, `FORBIDDEN`, `NOT_FOUND`, `CLAIM_LOST`, `DUPLICATE`, `CONFLICT`, `OFFSET_OUT_OF_RANGE`,
    /// `INVALID_RECORD`, `UNAVAILABLE`, `TIMEOUT`, `INTERNAL_ERROR` and others in the words of the status.
    pub code: String,
    /// Of `OFFSET_OUT_OF_RANGE`: the partition.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub partition_id: Option<i32>,
    /// Of `OFFSET_OUT_OF_RANGE`: the first offset that is kept.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub earliest: Option<i64>,
    /// Of `OFFSET_OUT_OF_RANGE`: the offset of the next record.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub next: Option<i64>,
    /// Of `DUPLICATE`: the id of the record with the same dedup fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub existing_id: Option<i64>,
}
