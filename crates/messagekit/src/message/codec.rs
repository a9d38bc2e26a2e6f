//! messagekit JSON, the default wire form: one flat object with the envelope's fields beside the event's own.
//!
//! Encoding uses camelCase. Decoding accepts camelCase and snake_case, so services in other languages can share a
//! topic. Decoding takes two passes over the same bytes: metadata, then data. `serde(flatten)` would buffer everything
//! and lose integers above 64 bits and maps with integer keys.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::{IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::headers::{CONTENT_TYPE, EVENT_TYPE, ID, JSON, TRACEPARENT, TRACESTATE, is_own};
use super::json_error::describe;
pub use super::read_versions::read_data;
use super::version::DataVersion;
use super::{Envelope, Message, Meta, TraceContext};
use crate::names::check_type;
use crate::{Error, ErrorKind, Event};

/// Names of the envelope in both spellings; an event must not have such a field.
const ENVELOPE_FIELDS: [&str; 16] = [
    "eventId",
    "event_id",
    "eventType",
    "event_type",
    "aggregateId",
    "aggregate_id",
    "occurredAt",
    "occurred_at",
    "source",
    "dataVersion",
    "data_version",
    "correlationId",
    "correlation_id",
    "causationId",
    "causation_id",
    "metadata",
];

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Written<'a> {
    event_id: &'a str,
    event_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    aggregate_id: Option<&'a str>,
    occurred_at: Timestamp,
    source: &'a str,
    data_version: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    correlation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    causation_id: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    metadata: &'a BTreeMap<String, serde_json::Value>,
}

/// Envelope fields of a payload; any may be absent.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct RawEnvelope<'a> {
    #[serde(borrow, alias = "event_id")]
    pub(super) event_id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "event_type")]
    pub(super) event_type: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "aggregate_id")]
    pub(super) aggregate_id: Option<Cow<'a, str>>,
    #[serde(alias = "occurred_at")]
    pub(super) occurred_at: Option<Timestamp>,
    #[serde(borrow)]
    pub(super) source: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "data_version")]
    pub(super) data_version: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "correlation_id")]
    pub(super) correlation_id: Option<Cow<'a, str>>,
    #[serde(borrow, alias = "causation_id")]
    pub(super) causation_id: Option<Cow<'a, str>>,
    pub(super) metadata: Option<BTreeMap<String, serde_json::Value>>,
}

/// Encodes an envelope as messagekit JSON, with the headers `id`, `eventType` and `contentType`.
///
/// `source` is the name of the producer if the envelope has none.
///
/// # Errors
/// Returns [`ErrorKind::InvalidEvent`] if the type, topic, version or source is malformed. The same kind rejects data
/// that is not a JSON object, or that has a field with an envelope name. Returns [`ErrorKind::TooLarge`] as
/// [`Message::check`] does. A retry does not help.
///
/// ```
/// use messagekit::{Envelope, Event};
/// use messagekit::adapter::codec;
/// # use serde::{Deserialize, Serialize};
/// # #[derive(Event, Serialize, Deserialize)]
/// # #[event(type = "orders.order.placed", key = "order_id")]
/// # #[serde(rename_all = "camelCase")]
/// # struct OrderPlaced { order_id: String }
///
/// let message = codec::encode(&Envelope::new(OrderPlaced { order_id: "o-1".into() }), "shop")?;
/// let text = std::str::from_utf8(&message.payload).unwrap();
/// assert!(text.contains(r#""source":"shop""#) && text.ends_with(r#","orderId":"o-1"}"#));
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn encode<E: Event>(envelope: &Envelope<E>, source: &str) -> Result<Message, Error> {
    encode_in(envelope, source, envelope.trace.as_ref())
}

/// As [`encode`], in the given trace.
pub(crate) fn encode_in<E: Event>(
    envelope: &Envelope<E>,
    source: &str,
    trace: Option<&TraceContext>,
) -> Result<Message, Error> {
    check_type(&envelope.event_type)?;
    let data_version = data_version(envelope);
    check_version(data_version)?;
    let source = if envelope.source.is_empty() { source } else { &envelope.source };
    if source.is_empty() {
        return Err(Error::new(
            ErrorKind::InvalidEvent,
            "event has no source: name the outbox or set `source`",
        )
        .with("event_type", &envelope.event_type));
    }
    let written = Written {
        event_id: envelope.event_id.as_str(),
        event_type: &envelope.event_type,
        aggregate_id: envelope.aggregate_id.as_deref(),
        occurred_at: envelope.occurred_at,
        source,
        data_version,
        correlation_id: envelope.correlation_id.as_ref().map(|id| id.as_str()),
        causation_id: envelope.causation_id.as_ref().map(|id| id.as_str()),
        metadata: &envelope.metadata,
    };
    let mut payload = Vec::with_capacity(512);
    let unwritable = |error| {
        Error::new(ErrorKind::InvalidEvent, "event cannot be written as JSON")
            .with("event_type", &envelope.event_type)
            .caused_by(Box::<dyn std::error::Error + Send + Sync>::from(describe(&error)))
    };
    serde_json::to_writer(&mut payload, &written).map_err(unwritable)?;
    payload.pop();
    let start = payload.len();
    serde_json::to_writer(&mut payload, &envelope.data).map_err(unwritable)?;
    join_objects(&mut payload, start).map_err(|error| error.with("event_type", &envelope.event_type))?;
    let mut message = Message::new(E::TOPIC, payload)
        .with_header(ID, envelope.event_id.as_str().to_owned())
        .with_header(EVENT_TYPE, envelope.event_type.clone())
        .with_header(CONTENT_TYPE, JSON);
    if let Some(trace) = trace {
        message.headers.set(TRACEPARENT, trace.traceparent().to_owned());
    }
    message.headers.set_free(&free_headers(envelope, trace)?);
    message.key = envelope.aggregate_id.as_ref().map(|key| key.clone().into());
    message.check().map_err(|error| error.with("event_type", &envelope.event_type))?;
    Ok(message)
}

/// Returns the free headers of an envelope and the state of its trace.
fn free_headers<E>(
    envelope: &Envelope<E>,
    trace: Option<&TraceContext>,
) -> Result<BTreeMap<String, String>, Error> {
    let mut free = envelope.headers.clone();
    if let Some(name) = free.keys().find(|name| name.is_empty() || is_own(name)) {
        let text = format!("header {name:?} is empty or a name of messagekit: choose another name");
        return Err(Error::new(ErrorKind::InvalidEvent, text).with("event_type", &envelope.event_type));
    }
    free.extend(
        trace.and_then(TraceContext::tracestate).map(|state| (TRACESTATE.to_owned(), state.to_owned())),
    );
    Ok(free)
}

/// Returns the version to write. The envelope of an upcast event names the version it was read from.
fn data_version<E: Event>(envelope: &Envelope<E>) -> &str {
    let major = |version: &str| DataVersion::read(version).map(|version| version.major);
    match (major(&envelope.data_version), major(E::VERSION)) {
        (Some(named), Some(own)) if named != own => E::VERSION,
        _ => &envelope.data_version,
    }
}

/// Consumers refuse any other form.
fn check_version(version: &str) -> Result<(), Error> {
    let number = |text: &str| text.parse::<u32>().is_ok_and(|number| number.to_string() == text);
    match version.split_once('.') {
        Some((major, minor)) if number(major) && number(minor) => Ok(()),
        _ => Err(Error::new(ErrorKind::InvalidEvent, "data version is not MAJOR.MINOR, like 1.0")
            .with("data_version", version)),
    }
}

/// Joins `{meta` and the data's `{…}`, which begins at `start`, into one object.
fn join_objects(payload: &mut Vec<u8>, start: usize) -> Result<(), Error> {
    let data = &payload[start..];
    if data.first() != Some(&b'{') {
        return Err(Error::new(
            ErrorKind::InvalidEvent,
            "event is not a JSON object: derive it on a struct with named fields",
        ));
    }
    if let Clash(Some(field)) = serde_json::from_slice(data)
        .map_err(|_| Error::new(ErrorKind::InvalidEvent, "event writes JSON that cannot be read back"))?
    {
        return Err(Error::new(
            ErrorKind::InvalidEvent,
            format!(
                "event field `{field}` has the name of an envelope field: rename it, for example by #[serde(rename = \"…\")]"
            ),
        ));
    }
    if data == b"{}" {
        payload.truncate(start);
        payload.push(b'}');
    } else {
        payload[start] = b',';
    }
    Ok(())
}

/// Decodes the data of a message with known metadata, in the version that they name.
///
/// # Errors
/// Returns [`ErrorKind::Undecodable`] with the location and the expectation, never with a value of the payload. A retry
/// does not help.
pub fn decode<D: Data>(meta: Meta, message: &Message) -> Result<Envelope<D>, Error> {
    match D::read(&meta.data_version, &message.payload) {
        Ok(data) => {
            let mut headers = message.headers.free();
            let trace = TraceContext::among(message, &headers);
            headers.remove(TRACESTATE);
            Ok(Envelope { meta, data, headers, trace, delivery: None })
        }
        Err(error) => Err(error.with("event_type", &meta.event_type)),
    }
}

/// What the data of a message is read as: an [`Event`], which may upcast, or a JSON value of any version.
pub trait Data: Sized + Send + 'static {
    /// Reads data of a version.
    ///
    /// # Errors
    /// As [`read_data`].
    fn read(version: &str, data: &[u8]) -> Result<Self, Error>;
}

impl<E: Event> Data for E {
    fn read(version: &str, data: &[u8]) -> Result<Self, Error> {
        read_data(version, data)
    }
}

impl Data for serde_json::Value {
    fn read(_: &str, data: &[u8]) -> Result<Self, Error> {
        serde_json::from_slice(data).map_err(|error| Error::new(ErrorKind::Undecodable, describe(&error)))
    }
}

/// The first field of an object that has an envelope name.
struct Clash(Option<&'static str>);

impl<'de> Deserialize<'de> for Clash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;
        impl<'de> Visitor<'de> for Names {
            type Value = Clash;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Clash, A::Error> {
                let mut clash = None;
                while let Some(Name(name)) = fields.next_key()? {
                    clash = clash.or_else(|| ENVELOPE_FIELDS.into_iter().find(|known| *known == name));
                    fields.next_value::<IgnoredAny>()?;
                }
                Ok(Clash(clash))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

/// A field name, borrowed if it has no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
