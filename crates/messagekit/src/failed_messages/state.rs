//! State and origin of a failed message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::marker_outcome::MarkerOutcome;
use crate::{Error, ErrorKind};

/// Represents the state of a failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[non_exhaustive]
pub enum FailedMessageState {
    /// The consumer runs it again when it is due.
    RetryScheduled,
    /// An earlier failed message of its key blocks it.
    Blocked,
    /// Only an operator can retry it.
    Dead,
    /// An operator requested one more run.
    RetryRequested,
    /// It was applied.
    Resolved,
    /// An operator discarded it. Neither it nor a late copy is applied, unless the discard is undone.
    Discarded,
}

impl FailedMessageState {
    /// Every state, in the order in which a failed message passes through them.
    pub const ALL: [Self; 6] = [
        Self::RetryScheduled,
        Self::Blocked,
        Self::Dead,
        Self::RetryRequested,
        Self::Resolved,
        Self::Discarded,
    ];

    /// Returns the word that tables, the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RetryScheduled => "retry_scheduled",
            Self::Blocked => "blocked",
            Self::Dead => "dead",
            Self::RetryRequested => "retry_requested",
            Self::Resolved => "resolved",
            Self::Discarded => "discarded",
        }
    }

    /// Returns the outcome in the marker of a message in this state.
    pub fn marker(self) -> MarkerOutcome {
        match self {
            Self::Resolved => MarkerOutcome::Done,
            Self::Discarded => MarkerOutcome::Discarded,
            Self::RetryScheduled | Self::Blocked | Self::Dead | Self::RetryRequested => MarkerOutcome::Held,
        }
    }

    /// Returns whether the message is still to be applied.
    pub fn is_open(self) -> bool {
        !matches!(self, Self::Resolved | Self::Discarded)
    }
}

impl fmt::Display for FailedMessageState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for FailedMessageState {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(ErrorKind::InvalidConfiguration, format!("state {text:?} is none of {known}"))
        })
    }
}

/// Identifies the component that set a message aside, which determines how a retry works.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum Origin {
    /// A consumer, in its own database: a retry runs the handler again.
    #[default]
    Store,
    /// RabbitMQ, in a dead-letter queue: a retry goes to exactly the queue that dead-lettered it.
    Queue,
    /// A Kafka program, in a dead-letter topic: a retry goes to its retry topic.
    Topic,
}

impl Origin {
    /// Every origin.
    pub const ALL: [Self; 3] = [Self::Store, Self::Queue, Self::Topic];

    /// Returns the word that tables, the API and the command line use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Store => "store",
            Self::Queue => "queue",
            Self::Topic => "topic",
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Origin {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL.into_iter().find(|origin| origin.as_str() == text).ok_or_else(|| {
            let known = Self::ALL.map(Self::as_str).join(", ");
            Error::new(ErrorKind::InvalidConfiguration, format!("origin {text:?} is none of {known}"))
        })
    }
}
