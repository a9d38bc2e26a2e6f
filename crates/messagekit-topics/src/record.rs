//! A record of a topic.

use jiff::Timestamp;
use messagekit_schema::canonical::{self, Json};
use messagekit_topic_store::RecordStatus;
use serde::Serialize;

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
    /// The SHA-256 of its [canonical JSON](canonical), in hexadecimal digits.
    pub payload_hash: String,
    /// The same of its dedup fields, if the topic has any; equal numbers have one hash, however they are written.
    pub dedup_hash: Option<String>,
    /// The value.
    pub data: T,
}

/// Hashes an object with these fields of a record alone. A missing field counts as null, and `5`, `5.0` and `5e0` as the same value.
pub(crate) fn dedup_hash(fields: &[String], data: &Json<'_>) -> Option<String> {
    if fields.is_empty() {
        return None;
    }
    let own = fields.iter().map(|field| {
        let value = data.field(field).cloned().unwrap_or(Json::Plain("null".into()));
        (field.as_str().into(), value)
    });
    Some(canonical::hash_of(&Json::Object(own.collect()).equal_text()))
}
