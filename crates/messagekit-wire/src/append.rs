//! `POST /v1/api/topics/append`.

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
#[cfg(feature = "openapi")]
use utoipa::ToSchema;

/// Records for a topic.
#[derive(Clone, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
#[serde(deny_unknown_fields)]
pub struct Append {
    /// The topic.
    pub topic_id: String,
    /// One record: a JSON object that fits the schema of the topic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub data: Option<Box<RawValue>>,
    /// Or several, which are appended together.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Vec<Object>>))]
    pub records: Option<Vec<Box<RawValue>>>,
    /// A record whose dedup fields the topic knows is left out, and not refused.
    #[serde(default)]
    pub if_new: bool,
}

impl Append {
    /// Returns a request to append several records, which is refused if the topic has one of them.
    pub fn records(topic: impl Into<String>, records: Vec<Box<RawValue>>) -> Self {
        Self { topic_id: topic.into(), data: None, records: Some(records), if_new: false }
    }
}

/// Without the records.
impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { topic_id, if_new, .. } = self;
        f.debug_struct("Append").field("topic_id", topic_id).field("if_new", if_new).finish_non_exhaustive()
    }
}

/// What became of the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct Appended {
    /// It is done.
    pub success: bool,
    /// Of a single record: its id, or that of the record that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub id: Option<i64>,
    /// Of a single record: the topic has it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub duplicate: Option<bool>,
    /// Of several records: what became of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(feature = "openapi", schema(nullable = false))]
    pub records: Option<Vec<AppendedRecord>>,
}

/// What became of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(ToSchema))]
pub struct AppendedRecord {
    /// Its id, or that of the record that is there.
    pub id: i64,
    /// The topic has it already.
    pub duplicate: bool,
}
