//! Republication of an event under a new id.

use std::collections::BTreeMap;

use bytes::Bytes;
use messagekit::adapter::codec;
use messagekit::operations::StoredEvent;
use messagekit::{Error, ErrorKind, Message, MessageId, headers};
use serde::Deserialize;
use serde_json::value::RawValue;

/// The free header that names the original.
const REPLAY_OF: &str = "replayOf";

/// Returns the message to publish under a new id: it changes the header, and the field `eventId` of a JSON payload or the
/// attribute `id` of a CloudEvent.
/// The other bytes of the payload stay unchanged.
///
/// # Errors
/// [`ErrorKind::Undecodable`] for a JSON payload whose id cannot be found: with a new header alone it would
/// contradict itself.
pub(super) fn renamed(event: &StoredEvent) -> Result<(MessageId, Message), Error> {
    let id = MessageId::new();
    let mut message = event.message.clone();
    let id_of = match codec::is_structured(&event.message) {
        true => id_of_cloud_event,
        false => id_of_event,
    };
    message.payload = with_id(&event.message.payload, &id, id_of)
        .ok_or_else(|| unreadable(event, "payload has no single id that could be replaced"))?;
    message.headers.set(headers::ID, id.as_str().to_owned());
    if message.headers.get(headers::CE_ID).is_some() {
        message.headers.set(headers::CE_ID, id.as_str().to_owned());
    }
    let mut free: BTreeMap<String, String> = match message.headers.get(headers::FREE_HEADERS) {
        None => BTreeMap::new(),
        Some(value) => serde_json::from_slice(value)
            .map_err(|_| unreadable(event, "free headers are not an object of texts"))?,
    };
    free.insert(REPLAY_OF.to_owned(), event.event_id.to_string());
    message.headers.set_free(&free);
    Ok((id, message))
}

fn unreadable(event: &StoredEvent, text: &'static str) -> Error {
    Error::new(ErrorKind::Undecodable, format!("{text}: replay it under the same id"))
        .with("event_id", &event.event_id)
}

/// Finds the id in a payload; the error says that it is given twice.
type FindId = for<'a> fn(&'a [u8]) -> serde_json::Result<Option<&'a RawValue>>;

fn id_of_event(payload: &[u8]) -> serde_json::Result<Option<&RawValue>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow, rename = "eventId", alias = "event_id")]
        event_id: Option<&'a RawValue>,
    }
    serde_json::from_slice(payload).map(|named: Named<'_>| named.event_id)
}

fn id_of_cloud_event(payload: &[u8]) -> serde_json::Result<Option<&RawValue>> {
    #[derive(Deserialize)]
    struct Named<'a> {
        #[serde(borrow)]
        id: Option<&'a RawValue>,
    }
    serde_json::from_slice(payload).map(|named: Named<'_>| named.id)
}

/// Returns the payload with another id, or `None` if its own cannot be found. A payload other than a JSON object has
/// no id.
fn with_id(payload: &Bytes, id: &MessageId, id_of: FindId) -> Option<Bytes> {
    if payload.trim_ascii_start().first() != Some(&b'{') {
        return Some(payload.clone());
    }
    let Some(old) = id_of(payload).ok()? else { return Some(payload.clone()) };
    // The value is a part of the payload, so its address shows its position.
    let start = (old.get().as_ptr() as usize).checked_sub(payload.as_ptr() as usize)?;
    let end = start + old.get().len();
    let mut changed = Vec::with_capacity(payload.len() + 48);
    changed.extend_from_slice(payload.get(..start)?);
    changed.extend_from_slice(format!("\"{id}\"").as_bytes());
    changed.extend_from_slice(payload.get(end..)?);
    Some(changed.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(payload: &str) -> StoredEvent {
        let message = Message::new("orders.order", payload.to_owned())
            .with_key("o-1")
            .with_header(headers::ID, "m-1")
            .with_header(headers::CREATED_AT, "2026-01-01T00:00:00Z")
            .with_header(headers::FREE_HEADERS, r#"{"tenant":"north"}"#);
        StoredEvent {
            event_id: "m-1".parse().unwrap(),
            copies: 0,
            created_at: "2026-01-01T00:00:00Z".parse().unwrap(),
            message,
        }
    }

    #[test]
    fn only_the_id_of_a_payload_changes() {
        for (before, after) in [
            (
                r#"{ "amount": 1.10, "eventId" : "m-1" , "data":{"eventId":"m-1"}, "n":1e400}"#,
                r#"" , "data":{"eventId":"m-1"}, "n":1e400}"#,
            ),
            (r#"{"event_id":"m-1"}"#, r#""}"#),
            (" \n{\"eventId\":\"m\\u002d1\",\"a\":\"\u{1F600}\"}", "\",\"a\":\"\u{1F600}\"}"),
        ] {
            let event = event(before);
            let (id, message) = renamed(&event).unwrap();
            let text = std::str::from_utf8(&message.payload).unwrap();
            let place = text.find(id.as_str()).unwrap();
            assert!(before.starts_with(&text[..place]), "{text}");
            assert_eq!(&text[place + id.as_str().len()..], after);
        }
    }

    #[test]
    fn the_attribute_of_a_cloud_event_changes_and_its_data_does_not() {
        let mut event = event(r#"{"id":"m-1","data":{"id":"m-1","eventId":"m-1"}}"#);
        event.message.headers.set(headers::CONTENT_TYPE, "application/cloudevents+json; mode=binary");
        let (id, message) = renamed(&event).unwrap();
        let payload = format!(r#"{{"id":"{id}","data":{{"id":"m-1","eventId":"m-1"}}}}"#);
        assert_eq!(message.payload, payload.as_bytes());
    }

    #[test]
    fn republication_has_a_new_id_everywhere_and_names_the_original() {
        let event = event(r#"{"eventId":"m-1","eventType":"orders.order.placed"}"#);
        let (id, message) = renamed(&event).unwrap();
        assert_eq!(
            messagekit::adapter::Identity::of(
                &message.clone().with_header(headers::EVENT_TYPE, "orders.order.placed")
            )
            .unwrap()
            .0,
            id
        );
        assert_eq!(message.headers.free()[REPLAY_OF], "m-1");
        assert_eq!(message.headers.free()["tenant"], "north");
        assert_eq!(message.headers.text(headers::CREATED_AT), Some("2026-01-01T00:00:00Z"));
        assert_eq!((&message.key, &message.topic), (&event.message.key, &event.message.topic));
        assert_ne!(renamed(&event).unwrap().0, id);
    }

    #[test]
    fn payloads_that_name_no_id_stay_whole() {
        for payload in ["", "text", "[1]", "{}", r#"{"id":"m-1"}"#, "\u{0}"] {
            assert_eq!(renamed(&event(payload)).unwrap().1.payload, payload.as_bytes(), "{payload}");
        }
    }

    #[test]
    fn a_payload_that_would_contradict_its_header_is_refused() {
        for payload in ["{", r#"{"eventId":"m-1","event_id":"m-2"}"#, r#"{"eventId":"m-1"} x"#] {
            let error = renamed(&event(payload)).unwrap_err();
            assert_eq!(
                (error.kind(), error.context("event_id")),
                (ErrorKind::Undecodable, Some("m-1")),
                "{payload}"
            );
        }
        let mut strange = event("{}");
        strange.message.headers.set(headers::FREE_HEADERS, r#"{"n":1}"#);
        assert!(renamed(&strange).is_err());
    }
}
