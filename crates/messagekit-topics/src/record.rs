//! A record of a topic.

use jiff::Timestamp;
use messagekit::log::RecordStatus;
use messagekit::schema::canonical;
use serde::Serialize;
use serde_json::Value;

/// A record of a topic, as one consumer sees it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Record<T> {
    /// Its number in the file: from 1, in the order of the appends, over all topics.
    pub id: i64,
    /// The topic.
    pub topic: String,
    /// Its partition.
    pub partition: i32,
    /// Its offset in the partition.
    pub offset: i64,
    /// When it was appended.
    pub created_at: Timestamp,
    /// When the consumer handled it last.
    pub handled_at: Option<Timestamp>,
    /// How far the consumer is with it.
    pub status: RecordStatus,
    /// The SHA-256 of its [canonical JSON](messagekit::schema::canonical), in hexadecimal digits.
    pub payload_hash: String,
    /// The same of its dedup fields, if the topic has any.
    pub dedup_hash: Option<String>,
    /// The value.
    pub data: T,
}

/// Returns the hash of some fields of an object: that of an object with these fields alone.
pub(crate) fn dedup_hash(fields: &[String], data: &Value) -> Option<String> {
    if fields.is_empty() {
        return None;
    }
    let own = fields.iter().map(|field| (field.clone(), data.get(field).cloned().unwrap_or(Value::Null)));
    Some(canonical::hash(&Value::Object(own.collect())))
}
