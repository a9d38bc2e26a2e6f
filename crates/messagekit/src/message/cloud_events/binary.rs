//! The binary form: attributes as headers, data as the payload.

use std::borrow::Cow;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::media_type::Format;
use crate::Message;
use crate::message::headers::{CE_PREFIX, CONTENT_TYPE, JSON, TraceContext};
use crate::message::{Headers, MAX_HEADERS};

/// Returns messages as brokers carry them: an event that the outbox wrote in the binary form has its attributes as headers and
/// its data as the payload. Every publisher calls it first; others than those of Kafka and RabbitMQ name the headers as
/// the CloudEvents binding for their broker does.
///
/// A message that is marked for the binary form and cannot have it is returned as it is: it is a structured event, or none.
///
/// ```
/// use messagekit::adapter::{codec, on_wire};
/// use messagekit::{Envelope, Event, WireForm};
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", key = "order_id")]
/// # struct OrderPlaced { order_id: String }
///
/// let envelope = Envelope::new(OrderPlaced { order_id: "o-1".into() });
/// let message = codec::encode_as(&envelope, "shop", WireForm::CloudEventsBinary)?;
/// let sent = &on_wire(&[message])[0];
/// assert_eq!(&sent.payload[..], br#"{"order_id":"o-1"}"#);
/// assert_eq!(sent.headers.text("ce_type"), Some("orders.order.placed"));
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn on_wire(messages: &[Message]) -> Cow<'_, [Message]> {
    if !messages.iter().any(is_sent_as_binary) {
        return Cow::Borrowed(messages);
    }
    let sent = |message: &Message| match is_sent_as_binary(message) {
        true => taken_apart(message).unwrap_or_else(|| message.clone()),
        false => message.clone(),
    };
    Cow::Owned(messages.iter().map(sent).collect())
}

fn is_sent_as_binary(message: &Message) -> bool {
    let format = message.headers.text(CONTENT_TYPE).map(Format::of);
    format == Some(Format::CloudEventsJson { is_sent_as_binary: true })
}

/// Returns the binary form of a structured event.
fn taken_apart(message: &Message) -> Option<Message> {
    let Members { attributes, data } = serde_json::from_slice(&message.payload).ok()?;
    if attributes.len() > MAX_HEADERS {
        return None;
    }
    let mut headers = message.headers.clone();
    headers.set(CONTENT_TYPE, JSON);
    for (name, text) in attributes {
        match name.as_str() {
            "datacontenttype" => headers.set(CONTENT_TYPE, text),
            name => headers.set(&format!("{CE_PREFIX}{name}"), text),
        }
    }
    let payload = message.payload.slice_ref(data?.get().as_bytes());
    Some(Message { topic: message.topic.clone(), key: message.key.clone(), headers, payload })
}

/// The attributes of a document as texts, in its order, and its data.
struct Members<'a> {
    attributes: Vec<(String, String)>,
    data: Option<&'a RawValue>,
}

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Document;
        impl<'de> Visitor<'de> for Document {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Members<'de>, A::Error> {
                let mut found = Members { attributes: Vec::with_capacity(16), data: None };
                while let Some(name) = members.next_key::<String>()? {
                    if name == "data" {
                        found.data = Some(members.next_value()?);
                        continue;
                    }
                    match members.next_value::<serde_json::Value>()? {
                        serde_json::Value::Null => {}
                        serde_json::Value::String(text) => found.attributes.push((name, text)),
                        other => found.attributes.push((name, other.to_string())),
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Document)
    }
}

/// Reads the context of the trace from the headers of a binary event.
pub(super) fn trace(headers: &Headers) -> Option<TraceContext> {
    TraceContext::of_texts(headers.text("ce_traceparent")?, headers.text("ce_tracestate"))
}
