//! How far the publishing of an event is.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::MessageId;
use crate::byte_text::{self};

/// How far the publishing of one event is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Publication {
    /// The state.
    pub state: PublicationState,
    /// Pending: since when it can be published. Delayed: from when. Rejected: when it was set aside.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub at: Option<Timestamp>,
    /// How often a broker has refused it; 0 for an event that waits behind a rejected one.
    pub attempts: u32,
    /// Its number among the rejected events.
    pub rejected: Option<i64>,
    /// The broker's error; null for an event that waits behind a rejected one.
    pub error: Option<String>,
}

/// How far the publishing of one event is, in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PublicationState {
    /// It has left the outbox, or is in its local topic. With change data capture, checkpoints prove some minutes later that the slot has
    /// read it.
    Published,
    /// No broker has confirmed it.
    Pending,
    /// It is published when it is due.
    Delayed,
    /// The broker has refused it, or an earlier event of its key.
    Rejected,
    /// No relay and no slot publishes this outbox, or no checkpoint proves on which side of the event the slot is.
    Unknown,
}

impl Publication {
    /// Creates the publication of an event that is published.
    pub fn published() -> Self {
        Self { state: PublicationState::Published, at: None, attempts: 0, rejected: None, error: None }
    }

    /// Creates the publication of an event that a broker has refused so often, and that can be published since then.
    pub fn pending(attempts: u32, since: Timestamp) -> Self {
        Self { state: PublicationState::Pending, at: Some(since), attempts, ..Self::published() }
    }

    /// Creates the publication of an event that is published when it is due.
    pub fn delayed(due: Timestamp) -> Self {
        Self { state: PublicationState::Delayed, at: Some(due), ..Self::published() }
    }

    /// Creates the publication of an event that nothing is known of.
    pub fn unknown() -> Self {
        Self { state: PublicationState::Unknown, ..Self::published() }
    }
}

crate::__words! {
    PublicationState {
        Published: "published",
        Pending: "pending",
        Delayed: "delayed",
        Rejected: "rejected",
        Unknown: "unknown",
    }
}

/// Who publishes the events of a database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum PublisherMode {
    /// Change data capture reads the log of the database.
    Debezium,
    /// A relay.
    Relay,
    /// The topics are in the database itself.
    Local,
}

crate::__words! {
    PublisherMode {
        Debezium: "debezium",
        Relay: "relay",
        Local: "local",
    }
}

/// How far the publisher of a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PublisherState {
    /// Who publishes, or is meant to: a slot may be lost. Null if nothing is set up.
    pub mode: Option<PublisherMode>,
    /// Whether a relay lives; null while no relay is in use.
    pub has_relay: Option<bool>,
    /// Up to which time the slot has confirmed the log; null without a slot or a checkpoint before its position.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub confirmed_at: Option<Timestamp>,
}

/// An event that is not published yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct UnpublishedEvent {
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
    /// How often a broker has refused it.
    pub attempts: u32,
    /// Since when it can be published; for a delayed event, from when.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub ready_at: Timestamp,
    /// Whether it waits for that time.
    pub is_delayed: bool,
}
