//! Setting a message aside instead of applying it.

use crate::{Message, MessageId, Position};

/// A received message without its receipt, as stores take it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    /// Its id, or an id made from its position if it has no usable one.
    pub id: MessageId,
    /// The complete message.
    pub message: Message,
    /// The position of the message, if the transport has positions.
    pub position: Option<Position>,
}

/// The result of setting a message aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetAsideOutcome {
    /// The transaction contains the failed message and its `held` marker.
    SetAside,
    /// The message already has a marker: another process has applied, held or discarded it, or the same transaction has claimed
    /// another copy of it. Nothing remains to do. A marker of an applied message with a smaller generation than the failure's
    /// does not count, as for a [claim](super::Markers::claim).
    AlreadySettled,
    /// The limit of parked messages is reached: nothing was written. Only [`FailedMessageRows::park`](super::FailedMessageRows::park) returns it.
    Full,
}

/// The maximum number of open failed messages that take part in the order of keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkingLimits {
    /// Maximum for one topic and key.
    pub per_key: u32,
    /// Maximum for the consumer. If an exact count is expensive, a store may count from time to time, and exceed the maximum by
    /// up to one percent per process.
    pub in_all: u32,
}

impl Default for ParkingLimits {
    /// 1,000 per key and 100,000 in total.
    fn default() -> Self {
        Self { per_key: 1_000, in_all: 100_000 }
    }
}
