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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn record_is_the_same_json_for_every_client_and_debug_hides_it() {
        let text = r#"{"topic_id":"shop.orders","partition_id":0,"offset":7,"payload":"eyJuIjoxfQ==","key":"secret","timestamp_ms":5,"op":"Insert","event_id":"e-1","attempt":1,"headers":{"tenant":"secret"}}"#;
        let message: TopicMessage = serde_json::from_str(text).unwrap();
        assert_eq!((&*message.payload, message.user.as_deref()), (&br#"{"n":1}"#[..], None));
        assert_eq!(serde_json::to_string(&message).unwrap(), text);
        let shown = format!("{message:?}");
        assert!(!shown.contains("secret") && !shown.contains("payload"), "{shown}");
        let refused = serde_json::from_str::<TopicMessage>(&text.replace("eyJ", "%%%")).unwrap_err();
        assert!(refused.to_string().contains("payload is no base64"), "{refused}");
    }
}
