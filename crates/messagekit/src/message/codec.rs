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

pub use super::cloud_events::is_structured;
use super::cloud_events::{self, ReceivedForm, SENT_AS_BINARY, STRUCTURED};
use super::headers::{CONTENT_TYPE, EVENT_TYPE, ID, JSON, TRACEPARENT, TRACESTATE, is_own};
use super::json_error::describe;
use super::json_text::JsonText;
pub use super::read_versions::read_data;
use super::version::DataVersion;
use super::{Envelope, Message, Meta, TraceContext, WireForm};
use crate::event::version_of;
use crate::names::check_type;
use crate::{Error, ErrorKind, Event};

/// Names of the envelope in both spellings; an event must not have such a field.
pub const ENVELOPE_FIELDS: [&str; 16] = [
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
    encode_as(envelope, source, WireForm::Messagekit)
}

/// As [`encode`], in one of the wire forms. The binary form of CloudEvents is that of [`on_wire`](crate::adapter::on_wire); until
/// then the message holds a structured event.
///
/// # Errors
/// As [`encode`]. In CloudEvents an event may have fields with envelope names, and [`ErrorKind::InvalidEvent`] rejects a
/// source that is not a URI reference.
pub fn encode_as<E: Event>(envelope: &Envelope<E>, source: &str, form: WireForm) -> Result<Message, Error> {
    encode_in(envelope, source, envelope.trace.as_ref(), form)
}

/// As [`encode_as`], in the given trace.
pub(crate) fn encode_in<E: Event>(
    envelope: &Envelope<E>,
    source: &str,
    trace: Option<&TraceContext>,
    form: WireForm,
) -> Result<Message, Error> {
    let named = |error: Error| error.with("event_type", &envelope.event_type);
    check_type(&envelope.event_type)?;
    check_version(data_version(envelope))?;
    let source = if envelope.source.is_empty() { source } else { &envelope.source };
    if source.is_empty() {
        let text = "event has no source: name the outbox or set `source`";
        return Err(named(Error::new(ErrorKind::InvalidEvent, text)));
    }
    let (payload, content_type) = match form {
        WireForm::Messagekit => (flat(envelope, source), JSON),
        WireForm::CloudEventsStructured => (cloud_event(envelope, source, trace, true), STRUCTURED),
        WireForm::CloudEventsBinary => (cloud_event(envelope, source, trace, false), SENT_AS_BINARY),
    };
    let mut message = Message::new(E::TOPIC, payload.map_err(named)?)
        .with_header(ID, envelope.event_id.as_str().to_owned())
        .with_header(EVENT_TYPE, envelope.event_type.clone())
        .with_header(CONTENT_TYPE, content_type);
    if let Some(trace) = trace {
        message.headers.set(TRACEPARENT, trace.traceparent().to_owned());
    }
    message.headers.set_free(&free_headers(envelope, trace)?);
    message.key = envelope.aggregate_id.as_ref().map(|key| key.clone().into());
    message.check().map_err(named)?;
    Ok(message)
}

/// Writes an event as messagekit JSON.
fn flat<E: Event>(envelope: &Envelope<E>, source: &str) -> Result<Vec<u8>, Error> {
    let written = Written {
        event_id: envelope.event_id.as_str(),
        event_type: &envelope.event_type,
        aggregate_id: envelope.aggregate_id.as_deref(),
        occurred_at: envelope.occurred_at,
        source,
        data_version: data_version(envelope),
        correlation_id: envelope.correlation_id.as_ref().map(|id| id.as_str()),
        causation_id: envelope.causation_id.as_ref().map(|id| id.as_str()),
        metadata: &envelope.metadata,
    };
    let mut payload = Vec::with_capacity(512);
    serde_json::to_writer(&mut payload, &written).map_err(unwritable)?;
    payload.pop();
    let start = payload.len();
    serde_json::to_writer(&mut payload, &envelope.data).map_err(unwritable)?;
    join_objects(&mut payload, start)?;
    Ok(payload)
}

/// Writes an event as a structured CloudEvent.
fn cloud_event<E: Event>(
    envelope: &Envelope<E>,
    source: &str,
    trace: Option<&TraceContext>,
    has_types: bool,
) -> Result<Vec<u8>, Error> {
    let mut payload = cloud_events::write(envelope, source, data_version(envelope), trace, has_types)?;
    let start = payload.len();
    serde_json::to_writer(&mut payload, &envelope.data).map_err(unwritable)?;
    check_is_object(&payload[start..])?;
    serde_json::from_slice::<IgnoredAny>(&payload[start..]).map_err(|_| unreadable())?;
    payload.push(b'}');
    Ok(payload)
}

fn unwritable(error: serde_json::Error) -> Error {
    let cause: Box<dyn std::error::Error + Send + Sync> = describe(&error).into();
    Error::new(ErrorKind::InvalidEvent, "event cannot be written as JSON").caused_by(cause)
}

fn unreadable() -> Error {
    Error::new(ErrorKind::InvalidEvent, "event writes JSON that cannot be read back")
}

/// Refuses data that is not a JSON object.
fn check_is_object(data: &[u8]) -> Result<(), Error> {
    if data.first() == Some(&b'{') {
        return Ok(());
    }
    let text = "event is not a JSON object: derive it on a struct with named fields";
    Err(Error::new(ErrorKind::InvalidEvent, text))
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
pub(crate) fn data_version<E: Event>(envelope: &Envelope<E>) -> &str {
    match DataVersion::read(&envelope.data_version) {
        Some(named) if named.major != version_of::<E>().major => E::VERSION,
        _ => &envelope.data_version,
    }
}

/// Refuses another form than the one in which a version is written.
fn check_version(version: &str) -> Result<(), Error> {
    if DataVersion::read(version).is_some_and(|read| read.to_string() == version) {
        return Ok(());
    }
    Err(Error::new(ErrorKind::InvalidEvent, "data version is not MAJOR.MINOR, like 1.0")
        .with("data_version", version))
}

/// Joins `{meta` and the data's `{…}`, which begins at `start`, into one object.
fn join_objects(payload: &mut Vec<u8>, start: usize) -> Result<(), Error> {
    let data = &payload[start..];
    check_is_object(data)?;
    if let Clash(Some(field)) = serde_json::from_slice(data).map_err(|_| unreadable())? {
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
    let form = form_of(message)?;
    let data = cloud_events::data_of(message, form).and_then(|data| D::read(&meta.data_version, &data));
    match data {
        Ok(data) => {
            let mut headers = message.headers.free();
            let trace =
                TraceContext::among(message, &headers).or_else(|| cloud_events::trace_of(message, form));
            headers.remove(TRACESTATE);
            Ok(Envelope { meta, data, headers, trace, delivery: None })
        }
        Err(error) => Err(error.with("event_type", &meta.event_type)),
    }
}

/// Returns the data of a message as JSON: of a CloudEvent what it holds, and otherwise the payload, in which fields of the envelope
/// stand beside the data.
///
/// # Errors
/// [`ErrorKind::Undecodable`] for a CloudEvent that cannot be read, or whose data is not JSON. A retry does not help.
pub fn data_of(message: &Message) -> Result<Cow<'_, [u8]>, Error> {
    cloud_events::data_of(message, form_of(message)?)
}

fn form_of(message: &Message) -> Result<ReceivedForm, Error> {
    ReceivedForm::of(message).map_err(|unusable| Error::new(ErrorKind::Undecodable, unusable.0.error))
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
                while let Some(JsonText(name)) = fields.next_key()? {
                    clash = clash.or_else(|| ENVELOPE_FIELDS.into_iter().find(|known| *known == name));
                    fields.next_value::<IgnoredAny>()?;
                }
                Ok(Clash(clash))
            }
        }
        deserializer.deserialize_map(Names)
    }
}

#[cfg(test)]
#[path = "codec_tests.rs"]
mod tests;
