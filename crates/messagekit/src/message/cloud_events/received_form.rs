//! The wire form that a message has.

use super::media_type::Format;
use crate::Message;
use crate::message::headers::{CE_CONTENT_TYPE, CE_SPECVERSION, CONTENT_TYPE};
use crate::message::unusable::{Unusable, unusable};
use crate::store::FailureKind;

/// The forms of a received message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::message) enum ReceivedForm {
    Messagekit,
    Structured,
    Binary,
}

impl ReceivedForm {
    /// Returns the form of a message, by its content type and headers.
    pub(in crate::message) fn of(message: &Message) -> Result<Self, Unusable> {
        let refused = |text| Err(unusable(FailureKind::Undecodable, text));
        match content_type(message).map_or(Format::Other, Format::of) {
            Format::CloudEventsJson { .. } => Ok(Self::Structured),
            Format::CloudEventsBatch => {
                refused("payload is a batch of CloudEvents: send each event as a message of its own")
            }
            Format::CloudEventsOther => refused(
                "payload is a CloudEvent in another format than JSON: send it as application/cloudevents+json",
            ),
            Format::Json | Format::Other if message.headers.get(CE_SPECVERSION).is_some() => Ok(Self::Binary),
            Format::Json | Format::Other => Ok(Self::Messagekit),
        }
    }
}

/// Returns the content type of a payload: messagekit's header, or that of the bindings for Kafka.
pub(super) fn content_type(message: &Message) -> Option<&str> {
    let headers = &message.headers;
    headers.text(CONTENT_TYPE).or_else(|| headers.text(CE_CONTENT_TYPE))
}
