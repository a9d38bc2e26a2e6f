//! The JSON form of an event among others.

use jiff::Timestamp;
use messagekit::operations::LinkedEvent;
use serde::Serialize;
use utoipa::ToSchema;

use crate::byte_text::ByteText;

/// An event with the ids that tie it to others.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RelatedView {
    /// The database that wrote it.
    pub(crate) database: String,
    pub(crate) event_id: String,
    event_type: Option<String>,
    topic: String,
    key: Option<ByteText>,
    /// When its row was written, by the database's clock.
    #[schema(value_type = String, format = DateTime)]
    pub(crate) created_at: Timestamp,
    /// The first event of the chain.
    correlation_id: Option<String>,
    /// The event that led to this one.
    pub(crate) causation_id: Option<String>,
    /// The event that this one republishes under a new id.
    replay_of: Option<String>,
}

impl RelatedView {
    pub(crate) fn of(database: &str, event: LinkedEvent) -> Self {
        let text = |id: Option<messagekit::MessageId>| id.map(|id| id.to_string());
        Self {
            database: database.to_owned(),
            event_id: event.event_id.to_string(),
            event_type: event.event_type,
            topic: event.topic.to_string(),
            key: event.key.as_deref().map(ByteText::of),
            created_at: event.created_at,
            correlation_id: text(event.links.correlation_id),
            causation_id: text(event.links.causation_id),
            replay_of: text(event.links.replay_of),
        }
    }
}
