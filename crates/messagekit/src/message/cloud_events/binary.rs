//! The binary form: attributes as headers, data as the payload.

use std::borrow::Cow;
use std::collections::BTreeSet;

use serde::Deserialize;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::attributes::{SPECVERSION, is_name};
use super::media_type::Format;
use crate::Message;
use crate::message::headers::{CE_CONTENT_TYPE, CE_PREFIX, CONTENT_TYPE, JSON};

/// The most attributes that become headers, and the most bytes of them: with the other headers they fit into every broker's limit.
const MAX_ATTRIBUTES: usize = 150;
const MAX_ATTRIBUTE_BYTES: usize = 32 * 1024;

/// Returns messages as brokers carry them: an event that the outbox wrote in the binary form has its attributes as headers and
/// its data as the payload. Every publisher calls it first; others than those of Kafka and RabbitMQ name the headers as
/// the CloudEvents binding for their broker does.
///
/// An event whose attributes are too large for headers stays structured, as does what is marked for the binary form and was not
/// written so by an outbox.
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
/// let messages = [codec::encode_as(&envelope, "shop", WireForm::CloudEventsBinary)?];
/// let sent = &on_wire(&messages)[0];
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

/// Returns the binary form of a structured event, or `None` for one that [`write`](super::write) has not made for it.
fn taken_apart(message: &Message) -> Option<Message> {
    let Members { attributes, data } = serde_json::from_slice(&message.payload).ok()?;
    let attribute =
        |wanted: &str| attributes.iter().find(|(name, _)| name == wanted).map(|(_, text)| &**text);
    let size: usize = attributes.iter().map(|(name, text)| name.len() + text.len()).sum();
    let is_ours = attribute("specversion") == Some(SPECVERSION)
        && attribute("datacontenttype") == Some(JSON)
        && attributes.iter().all(|(name, _)| is_name(name))
        && data?.get().starts_with('{');
    if !is_ours || attributes.len() > MAX_ATTRIBUTES || size > MAX_ATTRIBUTE_BYTES {
        return None;
    }
    let mut headers = message.headers.clone();
    headers.remove(CE_CONTENT_TYPE);
    headers.set(CONTENT_TYPE, JSON);
    for (name, text) in attributes.into_iter().filter(|(name, _)| name != "datacontenttype") {
        headers.set(&format!("{CE_PREFIX}{name}"), text);
    }
    let payload = message.payload.slice_ref(data?.get().as_bytes());
    Some(Message { topic: message.topic.clone(), key: message.key.clone(), headers, payload })
}

/// The attributes of a document, which are all texts, in its order, and its data.
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
                let mut names = BTreeSet::new();
                while let Some(name) = members.next_key::<String>()? {
                    if !names.insert(name.clone()) {
                        return Err(A::Error::custom("an attribute is given twice"));
                    }
                    if name == "data" {
                        found.data = Some(members.next_value()?);
                    } else {
                        found.attributes.push((name, members.next_value()?));
                    }
                }
                Ok(found)
            }
        }
        deserializer.deserialize_map(Document)
    }
}
