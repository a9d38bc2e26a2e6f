//! Failed messages, and their filters and totals.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use serde::Serialize;

use super::{FailedMessageState, FailedRun, Origin, StateReason};
use crate::byte_text::{self};
use crate::message::position;
use crate::store::ReceivedMessage;
use crate::{MessageId, Position};

/// Describes a failed message without the message itself, for lists.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailedMessageHead {
    /// The failed message's number in its database; later ones are greater.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub id: i64,
    /// The consumer that could not handle it. For a broker's dead letter: `queue:` or `topic:` and the name of the
    /// source. For a row of a table source whose event could not be written: `route:`, the topic and the table.
    pub consumer: String,
    /// The component that set it aside.
    pub origin: Origin,
    /// Redelivery target of a broker's dead letter: the queue or the retry topic; null for a consumer's own failed
    /// message.
    pub return_to: Option<String>,
    /// The message's id, or its position if it has no usable id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub message_id: MessageId,
    /// The topic or queue it was read from.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub topic: Arc<str>,
    /// Its position, if the transport has positions.
    #[serde(flatten, serialize_with = "position::serialize_place")]
    #[cfg_attr(feature = "openapi", schema(value_type = position::Place))]
    pub position: Option<Position>,
    /// Its key.
    #[serde(serialize_with = "byte_text::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<byte_text::ByteText>))]
    pub key: Option<Bytes>,
    /// The event type its headers name.
    pub event_type: Option<String>,
    /// Its state.
    pub state: FailedMessageState,
    /// Why it is in this state.
    pub reason: StateReason,
    /// Number of failed handler runs.
    pub attempts: u32,
    /// Number of runs that ended without a result: the process crashed, or the consumer's future was dropped.
    pub crash_count: u32,
    /// Whether it takes part in the order of its key.
    pub parked: bool,
    /// Number of other open failed messages of its key that it blocks: 0 unless it is parked, open and not blocked
    /// itself.
    pub holds_back: u64,
    /// When it runs again, by database time; while leased, the end of the lease.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>, format = DateTime))]
    pub due: Option<Timestamp>,
    /// Why it failed, in one word.
    pub kind: String,
    /// The error with its sources, in one line.
    pub error: String,
    /// Equal for failures that differ only in numbers.
    pub fingerprint: String,
    /// When it was first set aside.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub set_aside_at: Timestamp,
    /// When its state last changed.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub changed_at: Timestamp,
    /// The length of its payload in bytes.
    pub payload_bytes: u64,
}

/// Holds a failed message: the complete message and the description of its failure.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedMessage {
    /// The description for lists; the failed message dereferences to it.
    pub head: FailedMessageHead,
    /// The message.
    pub received: ReceivedMessage,
    /// Its last failed runs, oldest first, at most [`FailedRun::KEPT`].
    pub failed_runs: Vec<FailedRun>,
}

impl Deref for FailedMessage {
    type Target = FailedMessageHead;

    fn deref(&self) -> &FailedMessageHead {
        &self.head
    }
}

/// Selects failed messages; an empty filter selects all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedMessageFilter {
    /// Only messages of this consumer.
    pub consumer: Option<String>,
    /// Only messages in this state.
    pub state: Option<FailedMessageState>,
    /// Only [open](FailedMessageState::is_open) messages: those that are still to be applied.
    pub is_open: bool,
    /// Only messages of this origin.
    pub origin: Option<Origin>,
    /// Only messages of this event type.
    pub event_type: Option<String>,
    /// Only messages with this failure kind, as [`FailureKind`](crate::adapter::FailureKind) spells it.
    pub kind: Option<String>,
    /// Only messages with this fingerprint.
    pub fingerprint: Option<String>,
    /// Only messages with exactly this key.
    pub key: Option<Vec<u8>>,
    /// Only messages set aside at or after this time.
    pub since: Option<Timestamp>,
    /// Only messages set aside before this time.
    pub until: Option<Timestamp>,
    /// Only messages with a smaller number: the last number of the previous page.
    pub before: Option<i64>,
    /// Only messages with a greater number.
    pub after: Option<i64>,
}

impl FailedMessageFilter {
    /// Returns whether the filter selects messages in this state, as far as it depends on the state.
    ///
    /// ```
    /// use messagekit::operations::{FailedMessageFilter, FailedMessageState};
    ///
    /// let open = FailedMessageFilter { is_open: true, ..FailedMessageFilter::default() };
    /// assert!(open.has_state(FailedMessageState::Blocked) && !open.has_state(FailedMessageState::Resolved));
    /// ```
    pub fn has_state(&self, state: FailedMessageState) -> bool {
        self.state.is_none_or(|only| only == state) && (!self.is_open || state.is_open())
    }
}

/// Counts failed messages of one consumer and state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailedMessageTotal {
    /// The consumer.
    pub consumer: String,
    /// The state.
    pub state: FailedMessageState,
    /// Number of failed messages.
    pub failed_messages: u64,
}

/// Groups failed messages with the same fingerprint.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct FailedMessageGroup {
    /// The common fingerprint.
    pub fingerprint: String,
    /// The consumer.
    pub consumer: String,
    /// The event type, if the failed messages have one.
    pub event_type: Option<String>,
    /// The failure kind.
    pub kind: String,
    /// The error of the newest message.
    pub error: String,
    /// Number of failed messages.
    pub failed_messages: u64,
    /// When the first was set aside.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first: Timestamp,
    /// When the last was set aside.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last: Timestamp,
    /// The number of the newest message.
    pub newest: i64,
}
