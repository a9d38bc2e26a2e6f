//! Conversion between RabbitMQ's messages and messages here, with the names on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use lapin::BasicProperties;
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use messagekit::adapter::MAX_HEADERS;
use messagekit::headers::{
    CE_ID, CE_TYPE, CONTENT_TYPE, CREATED_AT, DEAD_BY, DEAD_ERROR, DEAD_KIND, EVENT_TYPE, FREE_HEADERS, ID,
    RETRY_TOPIC, RETURNS, SOURCE_OFFSET, SOURCE_PARTITION, SOURCE_TOPIC, TRACEPARENT, TRACESTATE, UNREADABLE,
    X_DEATH,
};
use messagekit::{Error, ErrorKind, Message};
use serde_json::Value;

use crate::frames::Unreadable;
use crate::names::check_routing_key;

/// The header that carries the key on the wire.
pub const KEY: &str = "x-messagekit-key";

/// The prefix on the wire of a header name that messagekit does not define.
pub const PREFIX: &str = "x-k-";

/// The header that holds the headers after the first 256 names: a JSON list of `[name, value]`.
pub const MORE_HEADERS: &str = "moreHeaders";

/// The header that holds properties that the client could not read: their bytes on the wire, up to 16 KiB.
pub const UNREADABLE_PROPERTIES: &str = "unreadableProperties";

/// The most bytes of them that are kept: with the readable headers they must fit into the limits of every hop.
const MAX_UNREADABLE: usize = 16 * 1024;

/// The most bytes of key and headers together on the wire: 64 KiB.
pub const MAX_HEADER_BYTES: usize = 64 * 1024;

/// The names that are sent unchanged. Those that RabbitMQ acts upon (`CC`, `BCC`, `x-death`, …) are not among them.
const AS_THEY_ARE: [&str; 17] = [
    ID,
    EVENT_TYPE,
    CONTENT_TYPE,
    TRACEPARENT,
    TRACESTATE,
    CREATED_AT,
    FREE_HEADERS,
    CE_ID,
    CE_TYPE,
    SOURCE_TOPIC,
    SOURCE_PARTITION,
    SOURCE_OFFSET,
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
                match AS_THEY_ARE.contains(&name) {
                    true => insert(name, value)?,
                    false => insert(&format!("{PREFIX}{name}"), value)?,
                }
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
    if !table.is_empty() {
        properties = properties.with_headers(FieldTable::from(table));
    }
    Ok(properties)
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
    let mut more: Vec<(&str, Value)> = Vec::new();
    for (name, value) in properties.headers().iter().flatten() {
        let name = name.as_str();
        if name == KEY {
            message.key = text(value);
        } else if name == X_DEATH {
            message.headers.set(X_DEATH, json(value).to_string());
        } else if !COUNTS.contains(&name) && !DEATHS.iter().any(|death| name.starts_with(death)) {
            let name = ours(name);
            let Some(text) = text(value) else { continue };
            // Beyond the limit a search per header would have quadratic cost.
            if message.headers.len() < MAX_HEADERS || message.headers.get(name).is_some() {
                message.headers.set(name, text);
            } else {
                more.push((name, as_json(&text)));
            }
        }
    }
    if !more.is_empty() {
        // A message's own header of this name is kept inside.
        more.extend(message.headers.remove(MORE_HEADERS).map(|value| (MORE_HEADERS, as_json(&value))));
        message.headers.set(MORE_HEADERS, serde_json::json!(more).to_string());
    }
    message
}

/// Removes the prefix that [`properties`] has set. A name that it never prefixes stays unchanged, so that a publisher
/// cannot forge the broker's death headers.
fn ours(name: &str) -> &str {
    match name.strip_prefix(PREFIX) {
        Some(name) if name != X_DEATH && !AS_THEY_ARE.contains(&name) => name,
        _ => name,
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
