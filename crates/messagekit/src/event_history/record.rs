//! What one database knows of one event.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;

use super::{Publication, PublisherState};
use crate::MessageId;
use crate::audit::AuditRecord;
use crate::byte_text::{self};
use crate::failed_messages::FailedMessageHead;
use crate::marker_outcome::MarkerOutcome;
use crate::message::{EventLinks, Headers, Position};
use crate::replay::{EventFilter, EventHead, ReplayJob};

/// What one database knows of one event. Each list has at most [`MAX_ENTRIES`](super::MAX_ENTRIES) entries.
#[derive(Clone, Debug, PartialEq)]
pub struct EventRecord {
    /// The event as its outbox keeps it; `None` if this database did not write it or does not keep it any more.
    pub event: Option<EventDetail>,
    /// How far the publisher of this database is.
    pub publisher: PublisherState,
    /// The processed marker of each consumer of this database that has one, by name.
    pub outcomes: Vec<ConsumerOutcome>,
    /// Its failed messages in this database, newest first.
    pub failed_messages: Vec<FailedMessageHead>,
    /// Where it failed elsewhere, as broker dead letters tell.
    pub failures: Vec<EventFailure>,
    /// Its republications under new ids, oldest first.
    pub republications: Vec<LinkedEvent>,
    /// The replays whose choice contains it, newest first. Replays that were ordered before the event was written never
    /// do.
    pub replays: Vec<ReplayJob>,
    /// What operators did to its failed messages, to its replays, and to the event while it was rejected, newest first.
    pub actions: Vec<AuditRecord>,
}

impl EventRecord {
    /// Returns whether this database knows nothing of the event.
    pub fn is_empty(&self) -> bool {
        self.event.is_none()
            && self.outcomes.is_empty()
            && self.failed_messages.is_empty()
            && self.failures.is_empty()
            && self.republications.is_empty()
            && self.actions.is_empty()
    }
}

/// An event as its outbox keeps it, without its payload.
#[derive(Clone, Debug, PartialEq)]
pub struct EventDetail {
    /// What lists show of it.
    pub head: EventHead,
    /// Its headers.
    pub headers: Headers,
    /// The events that led to it.
    pub links: EventLinks,
    /// Where it stands in a topic of this database; a broker's position is not known here.
    pub position: Option<Position>,
    /// How far its publishing is.
    pub publication: Publication,
}

/// An event with the ids that tie it to others.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LinkedEvent {
    /// Its id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub event_id: MessageId,
    /// Its type.
    pub event_type: Option<String>,
    /// Its topic.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub topic: Arc<str>,
    /// Its key.
    #[serde(serialize_with = "byte_text::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<byte_text::ByteText>))]
    pub key: Option<Bytes>,
    /// When its row was written, by the database's clock.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// The events that led to it.
    #[serde(flatten)]
    pub links: EventLinks,
}

/// The processed marker of one consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ConsumerOutcome {
    /// The consumer; `queue:` or `topic:` and a name for a dead letter that a broker kept.
    pub consumer: String,
    /// The outcome.
    pub outcome: MarkerOutcome,
    /// When the marker was last written.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub processed_at: Timestamp,
    /// How many runs began and have not ended, or ended with their process.
    pub in_flight_attempts: u32,
}

/// A failure of an event elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct EventFailure {
    /// The consumer, queue or topic.
    pub consumer: String,
    /// The reason.
    pub reason: String,
    /// When it was recorded.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub at: Timestamp,
}

/// Returns whether a replay's choice contains an event. The list of a replay is gone once it is published, and its choice
/// was made of the events that existed when it was ordered.
pub fn chosen_by(filter: &EventFilter, ordered_at: Timestamp, event: &EventHead) -> bool {
    filter.event_type.as_ref().is_none_or(|wanted| event.event_type.as_ref() == Some(wanted))
        && filter.topic.as_deref().is_none_or(|topic| topic == &*event.topic)
        && filter.key.as_ref().is_none_or(|key| event.key.as_deref() == Some(key.as_bytes()))
        && filter.from.is_none_or(|from| from <= event.created_at)
        && filter.to.is_none_or(|to| event.created_at <= to)
        && event.created_at <= ordered_at
}
