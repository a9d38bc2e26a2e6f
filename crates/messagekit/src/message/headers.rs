//! Message headers and all header names.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use bytes::Bytes;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use super::trace_context::TraceContext;

/// The message's id: the dedup key on every hop.
pub const ID: &str = "id";
/// The event type.
pub const EVENT_TYPE: &str = "eventType";
/// The content type of the payload; [`JSON`] for the default wire form.
pub const CONTENT_TYPE: &str = "contentType";
/// The W3C trace context of the writer; see [`TraceContext`].
pub const TRACEPARENT: &str = "traceparent";
/// The state of vendors in the trace: a header of foreign producers, a name among the free headers of messagekit's.
pub const TRACESTATE: &str = "tracestate";
/// The database time of the outbox row (RFC 3339), kept by every hop. The dedup window uses only this clock.
pub const CREATED_AT: &str = "createdAt";
/// One JSON object with the headers that a user added.
pub const FREE_HEADERS: &str = "headers";
/// How the header of an attribute of a CloudEvent in binary form begins, on every transport: `ce_source`. On RabbitMQ's wire it
/// is `cloudEvents_` or `cloudEvents:`.
pub const CE_PREFIX: &str = "ce_";
/// The version of CloudEvents. A message with this header is an event in binary form.
pub const CE_SPECVERSION: &str = "ce_specversion";
/// The id of a CloudEvents message in binary form, read if [`ID`] is absent.
pub const CE_ID: &str = "ce_id";
/// The type of a CloudEvents message in binary form, read if [`EVENT_TYPE`] is absent.
pub const CE_TYPE: &str = "ce_type";
/// The source of a CloudEvents message in binary form.
pub const CE_SOURCE: &str = "ce_source";
/// The content type of a CloudEvents message on Kafka, read if [`CONTENT_TYPE`] is absent.
pub const CE_CONTENT_TYPE: &str = "content-type";

/// The Kafka topic of a forwarded message. This header and the next two are the original position.
pub const SOURCE_TOPIC: &str = "x-messagekit-topic";
/// The partition of a forwarded message, in decimal digits.
pub const SOURCE_PARTITION: &str = "x-messagekit-partition";
/// The offset of a forwarded message, in decimal digits.
pub const SOURCE_OFFSET: &str = "x-messagekit-offset";
/// On a message of a tombstone, a record of Kafka without a value: `true`. Its payload is empty, and so is that of a record with an
/// empty value, which lacks this header.
pub const TOMBSTONE: &str = "x-messagekit-tombstone";
/// On a message in a dead-letter topic: the failure kind, as [`FailureKind`](crate::adapter::FailureKind) spells it.
pub const DEAD_KIND: &str = "x-messagekit-dead-kind";
/// On a message in a dead-letter topic: the error in one line.
pub const DEAD_ERROR: &str = "x-messagekit-dead-error";
/// On a message in a dead-letter topic: the consumer or bridge that set it aside.
pub const DEAD_BY: &str = "x-messagekit-dead-by";
/// On a message in a dead-letter topic: the topic that accepts a repaired copy.
pub const RETRY_TOPIC: &str = "x-messagekit-retry-topic";
/// Number of redeliveries of this message by an operator, in decimal digits.
pub const RETURNS: &str = "x-messagekit-returns";
/// RabbitMQ's death history of a message: a table on the wire, JSON here.
pub const X_DEATH: &str = "x-death";

/// On a message that the transport could not read completely: the reason, in one line. Consumers set the message aside
/// as [`Unreadable`](crate::adapter::FailureKind::Unreadable).
pub const UNREADABLE: &str = "x-messagekit-unreadable";

/// From the outbox to its store: the first event of the chain. This header and the next two are [`EventLinks`] and are never
/// published; see [`EventLinks::take`](crate::adapter::EventLinks::take).
///
/// [`EventLinks`]: crate::adapter::EventLinks
pub const CORRELATION_ID: &str = "x-messagekit-correlation-id";
/// From the outbox to its store: the event that led to this one.
pub const CAUSATION_ID: &str = "x-messagekit-causation-id";
/// From a replay to its store: the event that is republished under a new id.
pub const REPLAY_OF: &str = "x-messagekit-replay-of";

/// The content type of the default wire form.
pub const JSON: &str = "application/json";

const KNOWN: [&str; 30] = [
    ID,
    EVENT_TYPE,
    CONTENT_TYPE,
    TRACEPARENT,
    TRACESTATE,
    CREATED_AT,
    FREE_HEADERS,
    CE_ID,
    CE_TYPE,
    CE_SPECVERSION,
    CE_CONTENT_TYPE,
    CE_SOURCE,
    "ce_subject",
    "ce_time",
    "ce_dataversion",
    "ce_correlationid",
    "ce_causationid",
    SOURCE_TOPIC,
    SOURCE_PARTITION,
    SOURCE_OFFSET,
    TOMBSTONE,
    DEAD_KIND,
    DEAD_ERROR,
    DEAD_BY,
    RETRY_TOPIC,
    RETURNS,
    X_DEATH,
    CORRELATION_ID,
    CAUSATION_ID,
    REPLAY_OF,
];

/// Returns whether messagekit, or a broker that it reads, gives this name a meaning.
pub(super) fn is_own(name: &str) -> bool {
    KNOWN.contains(&name) || name.starts_with("x-messagekit-") || name.starts_with(CE_PREFIX)
}

/// Holds the headers of a message in insertion order; each name occurs once.
///
/// Values are bytes, because a broker may carry any bytes. The serialised form is a list of pairs; a value that is not
/// UTF-8 becomes `{"bytes": [..]}`, which preserves it in a table.
///
/// ```
/// use messagekit::{Headers, headers};
///
/// let mut sent = Headers::new();
/// sent.set(headers::ID, "m-1");
/// sent.set("tenant", "north");
/// assert_eq!(sent.text(headers::ID), Some("m-1"));
/// assert_eq!(sent.text("absent"), None);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(Cow<'static, str>, Bytes)>);

impl Headers {
    /// Creates an empty set.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Returns the value of `name`.
    pub fn get(&self, name: &str) -> Option<&Bytes> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// Returns the value of `name` if it is UTF-8.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|value| std::str::from_utf8(value).ok())
    }

    /// Sets `name` and replaces its previous value.
    pub fn set(&mut self, name: &str, value: impl Into<Bytes>) {
        let value = value.into();
        match self.0.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((interned(name), value)),
        }
    }

    /// Removes `name` and returns its previous value.
    pub fn remove(&mut self, name: &str) -> Option<Bytes> {
        let index = self.0.iter().position(|(known, _)| known == name)?;
        Some(self.0.remove(index).1)
    }

    /// Returns names and values in insertion order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Bytes)> {
        self.0.iter().map(|(name, value)| (name.as_ref(), value))
    }

    /// Returns the number of headers.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Returns whether there are no headers.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the total size of names and values in bytes.
    pub fn size(&self) -> usize {
        self.0.iter().map(|(name, value)| name.len() + value.len()).sum()
    }

    /// Returns the user's headers, or an empty map if the header is absent or is not an object of strings.
    pub fn free(&self) -> BTreeMap<String, String> {
        self.get(FREE_HEADERS).and_then(|value| serde_json::from_slice(value).ok()).unwrap_or_default()
    }

    /// Replaces the user's headers; an empty map removes the header.
    pub fn set_free(&mut self, free: &BTreeMap<String, String>) {
        if free.is_empty() {
            self.remove(FREE_HEADERS);
        } else {
            let json = serde_json::to_vec(free).expect("a map of strings is JSON");
            self.set(FREE_HEADERS, json);
        }
    }
}

/// Avoid an allocation per message for known names.
fn interned(name: &str) -> Cow<'static, str> {
    match KNOWN.iter().find(|known| **known == name) {
        Some(known) => Cow::Borrowed(known),
        None => Cow::Owned(name.to_owned()),
    }
}

/// Shows names and sizes only: values may be unsuitable for logs.
impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.0.iter().map(|(name, value)| (name, value.len()))).finish()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Value<'a> {
    Text(Cow<'a, str>),
    Bytes { bytes: Cow<'a, [u8]> },
}

impl Serialize for Headers {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut pairs = serializer.serialize_seq(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            let value = match std::str::from_utf8(value) {
                Ok(text) => Value::Text(Cow::Borrowed(text)),
                Err(_) => Value::Bytes { bytes: Cow::Borrowed(value) },
            };
            pairs.serialize_element(&(name, value))?;
        }
        pairs.end()
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Pairs;
        impl<'de> Visitor<'de> for Pairs {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of [name, value] pairs")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut pairs: A) -> Result<Headers, A::Error> {
                let mut headers = Headers::new();
                while let Some((name, value)) = pairs.next_element::<(String, Value<'static>)>()? {
                    if headers.get(&name).is_some() {
                        return Err(A::Error::custom(format_args!("header {name:?} stands twice")));
                    }
                    match value {
                        Value::Text(text) => headers.set(&name, text.into_owned()),
                        Value::Bytes { bytes } => headers.set(&name, bytes.into_owned()),
                    }
                }
                Ok(headers)
            }
        }
        deserializer.deserialize_seq(Pairs)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn setting_twice_replaces() {
        let mut headers = Headers::new();
        headers.set(ID, "a");
        headers.set(ID, "b");
        assert_eq!((headers.len(), headers.text(ID)), (1, Some("b")));
    }

    #[test]
    fn debug_shows_no_value() {
        let mut headers = Headers::new();
        headers.set("authorization", "secret-token");
        assert!(!format!("{headers:?}").contains("secret-token"));
    }

    proptest! {
        #[test]
        fn any_headers_survive_the_way_through_a_table(
            pairs in prop::collection::vec((".{0,12}", prop::collection::vec(any::<u8>(), 0..24)), 0..8)
        ) {
            let mut headers = Headers::new();
            for (name, value) in &pairs {
                headers.set(name, value.clone());
            }
            let json = serde_json::to_string(&headers).unwrap();
            prop_assert_eq!(serde_json::from_str::<Headers>(&json).unwrap(), headers);
        }

        #[test]
        fn free_headers_survive_as_one_object(free in prop::collection::btree_map(".{0,8}", ".{0,8}", 0..6)) {
            let mut headers = Headers::new();
            headers.set_free(&free);
            prop_assert_eq!(headers.free(), free);
        }
    }
}
