//! CloudEvents 1.0, the wire form that services of other frameworks share: <https://github.com/cloudevents/spec>.
//!
//! A structured event is one JSON document, attributes beside `data`. A binary one has the data as its payload and each
//! attribute as a header: [`CE_PREFIX`] with its name. What the outbox writes is structured in either form, because tables and
//! Debezium carry one payload; an event of the binary form is taken apart by the publisher, in [`on_wire`].

mod attributes;
mod binary;
mod data;
mod media_type;
mod message_id;
mod received_form;
mod structured;
mod uri;
mod write;

pub use binary::on_wire;
pub(super) use data::data_of;
pub(super) use media_type::{SENT_AS_BINARY, STRUCTURED};
pub(super) use message_id::message_id;
pub(super) use received_form::ReceivedForm;
pub(super) use write::write;

use super::Message;
use super::headers::TraceContext;
use super::raw_envelope::RawEnvelope;
use super::unusable::Unusable;
use attributes::Attributes;

/// Reads the attributes of a structured event as fields of an envelope.
pub(super) fn read_structured(message: &Message) -> Result<RawEnvelope<'_>, Unusable> {
    structured::attributes(&message.payload)?.into_envelope(message)
}

/// Reads the attributes of a binary event as fields of an envelope.
pub(super) fn read_binary(message: &Message) -> Result<RawEnvelope<'_>, Unusable> {
    Attributes::of_headers(&message.headers)?.into_envelope(message)
}

/// Returns the context of the trace that the document of a structured event names.
pub(super) fn trace_of(message: &Message, form: ReceivedForm) -> Option<TraceContext> {
    (form == ReceivedForm::Structured).then(|| structured::trace(&message.payload)).flatten()
}

/// Returns whether the payload of a message is a structured CloudEvent, by its content type.
pub fn is_structured(message: &Message) -> bool {
    ReceivedForm::of(message).is_ok_and(|form| form == ReceivedForm::Structured)
}
