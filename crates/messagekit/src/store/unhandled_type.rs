//! Messages that a consumer has passed over, because it has no handler for their type.

use std::sync::Arc;

/// Messages of one type that a consumer has passed over since it last noted them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnhandledType {
    /// The topic.
    pub topic: Arc<str>,
    /// The type, of which a consumer keeps at most 200 characters; empty if the messages have none.
    pub event_type: String,
    /// The types that the consumer handles and of which this one may be a misspelling, the most similar first, at most three.
    pub similar: Vec<String>,
    /// Number of messages.
    pub messages: u64,
}

/// The most types of one consumer that a database keeps. Those noted beyond them are not counted.
pub const MOST_UNHANDLED_TYPES: u32 = 1_000;
