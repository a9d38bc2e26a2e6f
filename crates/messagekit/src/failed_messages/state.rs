//! State and origin of a failed message.

use serde::{Deserialize, Serialize};

use crate::marker_outcome::MarkerOutcome;

/// Represents the state of a failed message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

crate::__words! {
    /// A failed message passes through them in this order.
    FailedMessageState, "state" {
        RetryScheduled: "retry_scheduled",
        Blocked: "blocked",
        Dead: "dead",
        RetryRequested: "retry_requested",
        Resolved: "resolved",
        Discarded: "discarded",
    }
}

impl FailedMessageState {
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

crate::__words! {
    Origin, "origin" {
        Store: "store",
        Queue: "queue",
        Topic: "topic",
    }
}
