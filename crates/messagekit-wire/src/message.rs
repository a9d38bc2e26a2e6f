//! A record as clients see it.

use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

use crate::base64_bytes;

/// A record of a topic.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct TopicMessage {
    /// Its topic.
    pub topic_id: String,
    /// Its partition.
    pub partition_id: i32,
    /// Its offset.
    pub offset: i64,
    /// Its bytes, in base64.
    #[serde(with = "base64_bytes")]
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub payload: Bytes,
    /// Its key.
    pub key: Option<String>,
    /// When the topic got it, in milliseconds since 1970.
    pub timestamp_ms: i64,
    /// Who changed the row, if the writer has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub user: Option<String>,
    /// `Insert`, `Update`, `Delete` or `Truncate`.
    pub op: String,
    /// The id of its event: what has the same id is the same event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub event_id: Option<String>,
    /// The type of its event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub event_type: Option<String>,
    /// The number of this attempt of the group, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub attempt: Option<u32>,
    /// The free headers, with those of the trace and the links of the event.
    pub headers: BTreeMap<String, String>,
}

/// Without payload, key and headers, which may be secret.
impl fmt::Debug for TopicMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TopicMessage")
            .field("topic_id", &self.topic_id)
            .field("partition_id", &self.partition_id)
            .field("offset", &self.offset)
            .field("event_id", &self.event_id)
            .field("attempt", &self.attempt)
            .finish_non_exhaustive()
    }
}
