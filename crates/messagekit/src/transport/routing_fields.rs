//! Texts of a message by name, for a routing key.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde_json::value::RawValue;

use crate::Message;
use crate::headers::CE_PREFIX;
use crate::message::codec;

type Fields<'a> = BTreeMap<Cow<'a, str>, &'a RawValue>;

/// The fields of a JSON payload. Of a CloudEvent, its attributes stand under the names of the envelope, as they do in messagekit
/// JSON, before the fields of its data.
pub(super) struct RoutingFields<'a> {
    message: &'a Message,
    /// The payload, or the document of a structured event.
    payload: Fields<'a>,
    /// The data of a structured event.
    data: Option<Fields<'a>>,
}

impl<'a> RoutingFields<'a> {
    pub(super) fn of(message: &'a Message) -> Self {
        let payload: Fields<'a> = serde_json::from_slice(&message.payload).unwrap_or_default();
        let data = codec::is_structured(message)
            .then(|| serde_json::from_str(payload.get("data")?.get()).ok())
            .map(Option::unwrap_or_default);
        Self { message, payload, data }
    }

    /// Returns the first text under one of the names, which are spellings of one.
    pub(super) fn text(&self, names: [&str; 2]) -> Option<String> {
        let attribute_of = |name| match attribute(name)? {
            "subject" => self.aggregate_id(),
            name => self.attribute(name),
        };
        let envelope = names.into_iter().find_map(attribute_of);
        let data = self.data.as_ref().unwrap_or(&self.payload);
        envelope
            .or_else(|| names.into_iter().find_map(|name| text(data.get(name)?)))
            .or_else(|| names.into_iter().find_map(|name| self.attribute(name)))
    }

    /// Returns what an envelope has as aggregate id, if the message is a CloudEvent.
    fn aggregate_id(&self) -> Option<String> {
        let subject = self.attribute("subject")?;
        let key = self.message.key.as_deref().and_then(|key| std::str::from_utf8(key).ok());
        self.attribute("partitionkey").or(key.map(str::to_owned)).or(Some(subject))
    }

    fn attribute(&self, name: &str) -> Option<String> {
        match self.data {
            Some(_) => text(self.payload.get(name)?),
            None => self.message.headers.text(&format!("{CE_PREFIX}{name}")).map(str::to_owned),
        }
    }
}

fn text(value: &RawValue) -> Option<String> {
    serde_json::from_str(value.get()).ok()
}

/// Returns the attribute of a CloudEvent that is a field of the envelope.
fn attribute(name: &str) -> Option<&'static str> {
    Some(match name {
        "eventId" | "event_id" => "id",
        "eventType" | "event_type" => "type",
        "aggregateId" | "aggregate_id" => "subject",
        "occurredAt" | "occurred_at" => "time",
        "source" => "source",
        "dataVersion" | "data_version" => "dataversion",
        "correlationId" | "correlation_id" => "correlationid",
        "causationId" | "causation_id" => "causationid",
        _ => return None,
    })
}
