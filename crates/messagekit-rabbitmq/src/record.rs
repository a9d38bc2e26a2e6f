//! Conversion between RabbitMQ's messages and messages here, with the names on the wire.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use messagekit::adapter::MAX_HEADERS;
use messagekit::headers::{
    CE_CONTENT_TYPE, CE_PREFIX, CONTENT_TYPE, CREATED_AT, DEAD_BY, DEAD_ERROR, DEAD_KIND, EVENT_TYPE,
    FREE_HEADERS, ID, RETRY_TOPIC, RETURNS, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC, TOMBSTONE,
    TRACEPARENT, TRACESTATE, UNREADABLE, X_DEATH,
};
use messagekit::{Error, ErrorKind, Message};
use serde_json::Value;

use crate::frames::Unreadable;
use crate::names::check_routing_key;

/// The header that carries the key on the wire.
pub const KEY: &str = "x-messagekit-key";

/// The prefix on the wire of a header name that messagekit does not define.
pub const PREFIX: &str = "x-k-";

/// The prefix on the wire of an attribute of a CloudEvent, in the form that JMS can name:
/// <https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/bindings/amqp-protocol-binding.md>.
pub const ATTRIBUTE: &str = "cloudEvents_";

/// Other prefixes, which are read too: the binding's other one, and that of
/// <https://github.com/knative-extensions/eventing-rabbitmq/blob/main/cloudevents-protocol-spec/spec.md>.
const OTHER_ATTRIBUTES: [&str; 2] = ["cloudEvents:", "ce-"];

const CE_TIME: &str = "ce_time";

/// The header that holds the headers after the first 256 names: a JSON list of `[name, value]`.
pub const MORE_HEADERS: &str = "moreHeaders";

/// The header that holds properties that the client could not read: their bytes on the wire, up to 16 KiB.
pub const UNREADABLE_PROPERTIES: &str = "unreadableProperties";

/// The most bytes of them that are kept: with the readable headers they must fit into the limits of every hop.
const MAX_UNREADABLE: usize = 16 * 1024;

/// The most bytes of key and headers together on the wire: 64 KiB.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The names that are sent unchanged. Those that RabbitMQ acts upon (`CC`, `BCC`, `x-death`, …) are not among them.
const AS_THEY_ARE: [&str; 16] = [
    ID,
    EVENT_TYPE,
    CONTENT_TYPE,
    TRACEPARENT,
    TRACESTATE,
    CREATED_AT,
    FREE_HEADERS,
    SOURCE_TOPIC,
    SOURCE_PARTITION,
    SOURCE_OFFSET,
    TOMBSTONE,
    DEAD_KIND,
    DEAD_ERROR,
    DEAD_BY,
    RETRY_TOPIC,
    RETURNS,
];

/// The counters of a quorum queue: failed deliveries, and since RabbitMQ 4.3 also the number of acquisitions by
/// consumers.
const COUNTS: [&str; 2] = ["x-delivery-count", "x-acquired-count"];

/// Headers that the broker adds beside `x-death`; they would only confuse a reader.
const DEATHS: [&str; 2] = ["x-first-death-", "x-last-death-"];

/// The most bytes on the wire of a name, and of a property other than the headers.
const SHORT: usize = 255;

/// The overhead of a header beside its name and its value: two lengths and a type.
const PER_HEADER: usize = 6;

/// Returns the properties of a message; `frame` is the largest frame that both sides agreed on.
///
/// # Errors
/// Permanent if no broker accepts the message.
pub(crate) fn properties(message: &Message, frame: usize) -> Result<BasicProperties, Error> {
    check_routing_key(&message.topic)?;
    message.check_sizes()?;
    let mut properties = BasicProperties::default().with_delivery_mode(2);
    let mut table = BTreeMap::new();
    let mut size = 64;
    let mut insert = |name: &str, value: &Bytes| {
        size += name.len() + value.len() + PER_HEADER;
        match ShortString::try_new(name) {
            Ok(name) => drop(table.insert(name, AMQPValue::LongString(LongString::from(value.to_vec())))),
            Err(_) => {
                let text = format!("header name of {} bytes is over the limit of {SHORT}", name.len());
                // Not the topic: it may be made of a payload's values.
                return Err(Error::new(ErrorKind::InvalidEvent, text));
            }
        }
        Ok(())
    };
    if let Some(key) = &message.key {
        insert(KEY, key)?;
    }
    for (name, value) in message.headers.iter() {
        properties = match (name, short(value)) {
            (ID, Some(value)) => properties.with_message_id(value),
            (EVENT_TYPE, Some(value)) => properties.with_type(value),
            (CONTENT_TYPE, Some(value)) => properties.with_content_type(value),
            _ => {
                insert(&wire_name(name), value)?;
                continue;
            }
        };
    }
    // Three short texts may accompany the headers.
    let limit = MAX_HEADER_BYTES.min(frame.saturating_sub(8 + 3 * (SHORT + 1)));
    if size > limit {
        let text = format!(
            "key and headers of {size} bytes are over the limit of {limit}: put what is large into the payload"
        );
        return Err(Error::new(ErrorKind::TooLarge, text));
    }
    if message.headers.get(CONTENT_TYPE).is_none()
        && let Some(value) = message.headers.get(CE_CONTENT_TYPE).and_then(short)
    {
        properties = properties.with_content_type(value);
    }
    if !table.is_empty() {
        properties = properties.with_headers(FieldTable::from(table));
    }
    Ok(properties)
}

/// Returns the name of a header on the wire.
fn wire_name(name: &str) -> Cow<'_, str> {
    if AS_THEY_ARE.contains(&name) {
        return Cow::Borrowed(name);
    }
    match name.strip_prefix(CE_PREFIX) {
        Some(attribute) => Cow::Owned(format!("{ATTRIBUTE}{attribute}")),
        None => Cow::Owned(format!("{PREFIX}{name}")),
    }
}

/// Returns a value as a short text; `None` if it is too long or not UTF-8.
fn short(value: &Bytes) -> Option<ShortString> {
    std::str::from_utf8(value).ok().and_then(|text| ShortString::try_new(text).ok())
}

/// Reads a message of a queue.
pub(crate) fn read(queue: &Arc<str>, properties: &BasicProperties, payload: Vec<u8>) -> Message {
    let Some(unreadable) = Unreadable::held_in(properties) else {
        return read_readable(queue, properties, payload);
    };
    let mut message = read_readable(queue, &unreadable.readable(), payload);
    message.headers.set(UNREADABLE, unreadable.reason());
    let mut bytes = unreadable.without(&COUNTS);
    bytes.truncate(MAX_UNREADABLE);
    message.headers.set(UNREADABLE_PROPERTIES, bytes);
    message
}

fn read_readable(queue: &Arc<str>, properties: &BasicProperties, payload: Vec<u8>) -> Message {
    let mut message = Message::new(queue.clone(), payload);
    for (name, value) in [
        (ID, properties.message_id()),
        (EVENT_TYPE, properties.kind()),
        (CONTENT_TYPE, properties.content_type()),
    ] {
        if let Some(value) = value {
            message.headers.set(name, value.as_str().to_owned());
        }
    }
    let mut more: Vec<(Cow<'_, str>, Value)> = Vec::new();
    for (name, value) in properties.headers().iter().flatten() {
        let name = name.as_str();
        if name == KEY {
            message.key = text(value);
        } else if name == X_DEATH {
            message.headers.set(X_DEATH, json(value).to_string());
        } else if !COUNTS.contains(&name) && !DEATHS.iter().any(|death| name.starts_with(death)) {
            let name = ours(name);
            let Some(text) = text_of(&name, value) else { continue };
            // Beyond the limit a search per header would have quadratic cost.
            if message.headers.len() < MAX_HEADERS || message.headers.get(&name).is_some() {
                message.headers.set(&name, text);
            } else {
                more.push((name, as_json(&text)));
            }
        }
    }
    if !more.is_empty() {
        // A message's own header of this name is kept inside.
        more.extend(message.headers.remove(MORE_HEADERS).map(|value| (MORE_HEADERS.into(), as_json(&value))));
        message.headers.set(MORE_HEADERS, serde_json::json!(more).to_string());
    }
    message
}

/// Returns the name here of a header on the wire. A name that [`properties`] never prefixes stays unchanged, so that a
/// publisher cannot forge the broker's death headers.
fn ours(name: &str) -> Cow<'_, str> {
    let others = OTHER_ATTRIBUTES.iter();
    if let Some(attribute) = others.chain([&ATTRIBUTE]).find_map(|prefix| name.strip_prefix(prefix)) {
        return Cow::Owned(format!("{CE_PREFIX}{attribute}"));
    }
    match name.strip_prefix(PREFIX) {
        Some(name) if name != X_DEATH && !AS_THEY_ARE.contains(&name) => Cow::Borrowed(name),
        _ => Cow::Borrowed(name),
    }
}

/// As [`text`]; an attribute of a CloudEvent may have a type of AMQP. A timestamp is in seconds in this version of AMQP; writers
/// that follow the binding for AMQP 1.0 give the time as a number of milliseconds. Bytes are base64.
fn text_of(name: &str, value: &AMQPValue) -> Option<Bytes> {
    let time = match value {
        _ if !name.starts_with(CE_PREFIX) => None,
        AMQPValue::Timestamp(seconds) => i64::try_from(*seconds).ok().map(Timestamp::from_second),
        AMQPValue::LongLongInt(millis) if name == CE_TIME => Some(Timestamp::from_millisecond(*millis)),
        AMQPValue::ByteArray(bytes) if std::str::from_utf8(bytes.as_slice()).is_err() => {
            return Some(STANDARD.encode(bytes.as_slice()).into());
        }
        _ => None,
    };
    match time {
        Some(Ok(time)) => Some(time.to_string().into()),
        _ => text(value),
    }
}

/// Returns a value in the form of a header; `None` is an absent header.
fn text(value: &AMQPValue) -> Option<Bytes> {
    Some(match value {
        AMQPValue::LongString(text) => Bytes::copy_from_slice(text.as_bytes()),
        AMQPValue::ShortString(text) => Bytes::copy_from_slice(text.as_str().as_bytes()),
        AMQPValue::ByteArray(bytes) => Bytes::copy_from_slice(bytes.as_slice()),
        AMQPValue::Void => return None,
        other => json(other).to_string().into(),
    })
}

fn as_json(bytes: &Bytes) -> Value {
    match std::str::from_utf8(bytes) {
        Ok(text) => Value::from(text),
        Err(_) => serde_json::json!({ "bytes": bytes.as_ref() }),
    }
}

fn json(value: &AMQPValue) -> Value {
    match value {
        AMQPValue::Boolean(value) => Value::from(*value),
        AMQPValue::ShortShortInt(value) => Value::from(*value),
        AMQPValue::ShortShortUInt(value) => Value::from(*value),
        AMQPValue::ShortInt(value) => Value::from(*value),
        AMQPValue::ShortUInt(value) => Value::from(*value),
        AMQPValue::LongInt(value) => Value::from(*value),
        AMQPValue::LongUInt(value) => Value::from(*value),
        AMQPValue::LongLongInt(value) => Value::from(*value),
        AMQPValue::Float(value) => Value::from(*value),
        AMQPValue::Double(value) => Value::from(*value),
        AMQPValue::DecimalValue(value) => {
            Value::from(f64::from(value.value) / 10_f64.powi(i32::from(value.scale)))
        }
        AMQPValue::ShortString(text) => Value::from(text.as_str()),
        AMQPValue::LongString(text) => Value::from(String::from_utf8_lossy(text.as_bytes())),
        AMQPValue::FieldArray(values) => values.as_slice().iter().map(json).collect(),
        AMQPValue::Timestamp(seconds) => Value::from(*seconds),
        AMQPValue::FieldTable(table) => {
            table.into_iter().map(|(name, value)| (name.as_str().to_owned(), json(value))).collect()
        }
        AMQPValue::ByteArray(bytes) => Value::from(bytes.as_slice()),
        AMQPValue::Void => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use messagekit::MessageId;

    use super::*;

    fn with_header(name: &str, value: AMQPValue) -> BasicProperties {
        BasicProperties::default().with_headers(FieldTable::from(BTreeMap::from([(name.into(), value)])))
    }

    /// Returns the ids that messages without their own id are stored under, delivery after delivery.
    fn names(deliveries: impl IntoIterator<Item = BasicProperties>) -> Vec<MessageId> {
        let read = |properties| read(&"q".into(), &properties, b"{}".to_vec());
        deliveries.into_iter().map(|properties| MessageId::of_contents(&read(properties))).collect()
    }

    #[test]
    fn what_the_broker_counts_makes_no_other_message_of_a_delivery() {
        let first = names([BasicProperties::default()]);
        for count in ["x-delivery-count", "x-acquired-count"] {
            let again = names([1, 2].map(|times| with_header(count, AMQPValue::LongLongInt(times))));
            assert_eq!(again, [&first[..], &first].concat(), "{count}");
        }
        assert_ne!(names([with_header("x-delivery-counts", AMQPValue::LongLongInt(1))]), first);
    }

    #[test]
    fn attributes_of_cloud_events_are_read_under_every_prefix() {
        for prefix in ["cloudEvents_", "cloudEvents:", "ce-"] {
            let header = |name: &str, value| with_header(&format!("{prefix}{name}"), value);
            for (name, value, text) in [
                ("type", AMQPValue::LongString("a.b".into()), "a.b"),
                ("count", AMQPValue::LongInt(-3), "-3"),
                ("urgent", AMQPValue::Boolean(true), "true"),
                ("time", AMQPValue::Timestamp(1_769_903_999), "2026-01-31T23:59:59Z"),
                ("time", AMQPValue::LongLongInt(1_769_903_999_500), "2026-01-31T23:59:59.5Z"),
                ("time", AMQPValue::LongString("2026-01-31T23:59:59Z".into()), "2026-01-31T23:59:59Z"),
                ("time", AMQPValue::LongLongInt(i64::MAX), "9223372036854775807"),
                ("paid", AMQPValue::Timestamp(1_769_903_999), "2026-01-31T23:59:59Z"),
                ("stamp", AMQPValue::ByteArray(vec![0xff, 0xfe].into()), "//4="),
            ] {
                let message = read(&"q".into(), &header(name, value), Vec::new());
                assert_eq!(message.headers.text(&format!("ce_{name}")), Some(text), "{prefix}{name}");
            }
        }
    }

    #[test]
    fn a_cloud_event_has_the_names_of_the_binding_on_the_wire() {
        let message = Message::new("orders.order", "{}")
            .with_header("ce_specversion", "1.0")
            .with_header("content-type", "application/json");
        let properties = properties(&message, 131_072).unwrap();
        let table = properties.headers().as_ref().unwrap();
        assert!(table.inner().contains_key("cloudEvents_specversion"), "{table:?}");
        assert_eq!(properties.content_type().as_ref().unwrap().as_str(), "application/json");
        let back = read(&"orders.order".into(), &properties, b"{}".to_vec());
        assert_eq!(back.headers.text("ce_specversion"), Some("1.0"));
        assert_eq!(back.headers.text("contentType"), Some("application/json"));
    }

    #[test]
    fn broker_counters_do_not_change_an_unreadable_messages_id() {
        for count in ["x-delivery-count", "x-acquired-count"] {
            let unreadable = |times| {
                let count = [&[count.len() as u8][..], count.as_bytes(), b"b", &[times]].concat();
                let headers = [&b"\x01\xffV"[..], &count].concat();
                let bytes = [&[0x20, 0, 0, 0, 0, headers.len() as u8][..], &headers].concat();
                with_header("x-messagekit-unreadable", AMQPValue::ByteArray(bytes.into()))
            };
            let message = read(&"q".into(), &unreadable(1), Vec::new());
            assert_eq!(message.headers.text(UNREADABLE), Some("name of a header is not UTF-8"));
            let names = names([1, 2].map(unreadable));
            assert_eq!(names[0], names[1], "{count}");
        }
    }
}
