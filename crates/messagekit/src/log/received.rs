//! A record as a consumer stores it.

use crate::MessageId;
use crate::log::Record;
use crate::message::Identity;
use crate::store::ReceivedMessage;

impl Record {
    /// Returns the record as a failed message has it: under its own id, or under an id of its position if it has no usable one.
    pub fn received(self) -> ReceivedMessage {
        let Self { message, position, .. } = self;
        let id = Identity::undisputed(&message).unwrap_or_else(|| MessageId::at(&position));
        ReceivedMessage { id, message, position: Some(position) }
    }
}
