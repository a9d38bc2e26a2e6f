//! Topics and sources that are to be made.

use std::num::NonZeroU32;
use std::sync::Arc;

use messagekit::log::{Changes, OnSourceFailure, RowPayload};
use messagekit_topic_store::RetentionRule;
use serde_json::Value;

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
