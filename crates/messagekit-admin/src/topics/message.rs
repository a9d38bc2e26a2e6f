//! A record as clients see it.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messagekit_topics::operations::ConsumedRecord;
use serde::Serialize;
use utoipa::ToSchema;

/// A record of a topic.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct TopicMessage {
    topic_id: String,
    partition_id: i32,
    offset: i64,
    /// Its bytes, in base64.
    payload: String,
    key: Option<String>,
    /// When the topic got it, in milliseconds since 1970.
    timestamp_ms: i64,
    /// Who changed the row, if the writer has said so.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    user: Option<String>,
    /// `Insert`, `Update`, `Delete` or `Truncate`.
    op: String,
    /// The id of its event: what has the same id is the same event.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    event_type: Option<String>,
    /// The number of this attempt of the group, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    attempt: Option<u32>,
    headers: BTreeMap<String, String>,
}

impl From<ConsumedRecord> for TopicMessage {
    fn from(record: ConsumedRecord) -> Self {
        Self {
            topic_id: record.topic,
            partition_id: record.partition,
            offset: record.offset,
            payload: STANDARD.encode(&record.payload),
            key: record.key,
            timestamp_ms: record.timestamp.as_millisecond(),
            user: record.actor,
            op: record.operation.to_string(),
            event_id: record.event_id,
            event_type: record.event_type,
            attempt: (record.attempt > 0).then_some(record.attempt),
            headers: record.headers,
        }
    }
}
