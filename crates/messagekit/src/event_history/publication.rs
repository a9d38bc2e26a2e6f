//! How far the publishing of an event is.

use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::MessageId;

/// How far the publishing of one event is.
#[derive(Clone, Debug, PartialEq)]
pub enum Publication {
    /// It has left the outbox, or stands in its local topic.
    Published,
    /// No broker has confirmed it.
    Pending {
        /// How often a broker has refused it.
        attempts: u32,
        /// Since when it can be published.
        since: Timestamp,
    },
    /// It is published when it is due.
    Delayed {
        /// When.
        due: Timestamp,
    },
    /// The broker has refused it, or an earlier event of its key.
    Rejected {
        /// Its number among the rejected events.
        id: i64,
        /// How often the broker refused it; 0 for an event that waits behind a rejected one.
        attempts: u32,
        /// The broker's error; `None` for an event that waits.
        error: Option<String>,
        /// When it was set aside.
        at: Timestamp,
    },
    /// Nothing tells: no relay and no slot publishes this outbox, or no checkpoint proves on which side of the event the slot is.
    Unknown,
}

impl Publication {
    /// Returns the word that the API and the command line use.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Published => "published",
            Self::Pending { .. } => "pending",
            Self::Delayed { .. } => "delayed",
            Self::Rejected { .. } => "rejected",
            Self::Unknown => "unknown",
        }
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

impl PublisherMode {
    /// Returns the word that the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Debezium => "debezium",
            Self::Relay => "relay",
            Self::Local => "local",
        }
    }
}

/// How far the publisher of a database is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublisherState {
    /// Who publishes, or is meant to: a slot may be lost. `None` if nothing is set up.
    pub mode: Option<PublisherMode>,
    /// Whether a relay lives; `None` without one in use.
    pub has_relay: Option<bool>,
    /// Up to which time the slot has confirmed the log; `None` without a slot or a checkpoint before its position.
    pub confirmed_at: Option<Timestamp>,
}

/// An event that is not published yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnpublishedEvent {
    /// Its id.
    pub event_id: MessageId,
    /// Its type.
    pub event_type: Option<String>,
    /// Its topic.
    pub topic: Arc<str>,
    /// Its key.
    pub key: Option<Bytes>,
    /// How often a broker has refused it.
    pub attempts: u32,
    /// Since when it can be published; for a delayed event, from when.
    pub ready_at: Timestamp,
    /// Whether it waits for that time.
    pub is_delayed: bool,
}
