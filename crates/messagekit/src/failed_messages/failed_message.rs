//! A failed message, and how failed messages are chosen and counted.

use std::ops::Deref;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::{FailedMessageState, Origin};
use crate::store::ReceivedMessage;
use crate::{MessageId, Position};

/// What is known about a failed message, without the message itself: what lists show.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedMessageHead {
    /// The failed message's number in its database; later ones are greater.
    pub id: i64,
    /// The consumer that could not handle it; for what a broker kept, `queue:` or `topic:` and the name of where it died.
    pub consumer: String,
    /// Who set it aside.
    pub origin: Origin,
    /// Where a retry goes: the queue or the retry topic of a failed message that a broker kept; `None` for a consumer's own.
    pub return_to: Option<String>,
    /// The message's id, or its place where it has no usable one.
    pub message_id: MessageId,
    /// The topic or queue it was read from.
    pub topic: Arc<str>,
    /// Where it stands, when the transport has coordinates.
    pub position: Option<Position>,
    /// Its key.
    pub key: Option<Bytes>,
    /// The event type its headers name.
    pub event_type: Option<String>,
    /// Where it stands.
    pub state: FailedMessageState,
    /// How many runs of the handler have failed it.
    pub attempts: u32,
    /// How many runs ended without an answer: the process died, or the consumer's future was dropped.
    pub crash_count: u32,
    /// It takes part in the order of its key.
    pub parked: bool,
    /// How many other open failed messages of its key there are, which wait for it: 0 unless it is parked, open, and does not
    /// wait itself.
    pub holds_back: u64,
    /// When it runs again, by database time; when leased, the end of the lease.
    pub due: Option<Timestamp>,
    /// The reason in one word, as [`FailureKind`](crate::FailureKind) spells it.
    pub kind: String,
    /// The error with its causes, in one line.
    pub error: String,
    /// Equal for failures that differ only in numbers.
    pub fingerprint: String,
    /// When it was set aside first.
    pub set_aside_at: Timestamp,
    /// When its state last changed.
    pub changed_at: Timestamp,
    /// The bytes of its payload.
    pub payload_bytes: u64,
}

/// A failed message: a message kept whole, with what is known about its failure.
#[derive(Clone, Debug, PartialEq)]
pub struct FailedMessage {
    /// What lists show of it; its fields are reached through the failed message itself.
    pub head: FailedMessageHead,
    /// The message.
    pub received: ReceivedMessage,
}

impl Deref for FailedMessage {
    type Target = FailedMessageHead;

    fn deref(&self) -> &FailedMessageHead {
        &self.head
    }
}

/// Which failed messages are meant; an empty one means all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FailedMessageFilter {
    /// Only those of this consumer.
    pub consumer: Option<String>,
    /// Only those in this state.
    pub state: Option<FailedMessageState>,
    /// Only those that came this way.
    pub origin: Option<Origin>,
    /// Only those of this event type.
    pub event_type: Option<String>,
    /// Only those that failed for this reason, as [`FailureKind`](crate::FailureKind) spells it.
    pub kind: Option<String>,
    /// Only those with this fingerprint.
    pub fingerprint: Option<String>,
    /// Only those with exactly this key.
    pub key: Option<Vec<u8>>,
    /// Only those set aside at or after this time.
    pub since: Option<Timestamp>,
    /// Only those set aside before this time.
    pub until: Option<Timestamp>,
    /// Only those with a smaller number: the last number of the page before.
    pub before: Option<i64>,
    /// Only those with a greater number.
    pub after: Option<i64>,
}

/// How many failed messages there are of each sort.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedMessageTotal {
    /// The consumer.
    pub consumer: String,
    /// The state.
    pub state: FailedMessageState,
    /// How many.
    pub failed_messages: u64,
}

/// Failed messages that failed alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailedMessageGroup {
    /// What they share.
    pub fingerprint: String,
    /// The consumer.
    pub consumer: String,
    /// The event type, where the failed messages have one.
    pub event_type: Option<String>,
    /// The reason in one word.
    pub kind: String,
    /// The error of the newest.
    pub error: String,
    /// How many failed messages.
    pub failed_messages: u64,
    /// When the first of them was set aside.
    pub first: Timestamp,
    /// When the last of them was set aside.
    pub last: Timestamp,
    /// The number of the newest.
    pub newest: i64,
}
