//! The headers of a message as columns of the outbox.

use messagekit::adapter::EventLinks;
use messagekit::{Error, ErrorKind, Message, MessageId, headers};
use serde::de::IgnoredAny;
use std::collections::BTreeMap;

/// The columns beside the payload.
#[derive(Debug, Default)]
pub(crate) struct Columns<'a> {
    pub(crate) event_id: &'a str,
    pub(crate) event_type: Option<&'a str>,
    pub(crate) content_type: Option<&'a str>,
    pub(crate) traceparent: Option<&'a str>,
    /// A JSON object.
    pub(crate) free: Option<&'a str>,
    pub(crate) key: Option<&'a str>,
    /// Kept in a table of their own.
    pub(crate) links: EventLinks,
}

impl<'a> Columns<'a> {
    /// Splits key and headers into columns. Refuses values that no column can hold: every hop must carry the same
    /// message.
    pub(crate) fn of(message: &'a Message) -> Result<Self, Error> {
        let links = EventLinks::of(&message.headers);
        // The links are no part of what is published.
        if message.headers.iter().any(|(name, _)| EventLinks::is_header(name)) {
            let mut published = message.clone();
            EventLinks::take(&mut published.headers);
            published.check()?;
        } else {
            message.check()?;
        }
        let mut columns = Self { links, ..Self::default() };
        for (name, value) in message.headers.iter() {
            let column = match name {
                headers::ID => {
                    columns.event_id = text(name, value)?;
                    columns
                        .event_id
                        .parse::<MessageId>()
                        .map_err(|error| error.with("topic", &message.topic))?;
                    continue;
                }
                headers::EVENT_TYPE => &mut columns.event_type,
                headers::CONTENT_TYPE => &mut columns.content_type,
                headers::TRACEPARENT => &mut columns.traceparent,
                headers::FREE_HEADERS => &mut columns.free,
                // The row's time comes from the database clock.
                headers::CREATED_AT => continue,
                name if EventLinks::is_header(name) => continue,
                _ => {
                    return Err(invalid(format!(
                        "outbox has no column for header {name:?}: put it into the header `headers` or the envelope's metadata"
                    )));
                }
            };
            *column = Some(text(name, value)?);
        }
        if columns.event_id.is_empty() {
            return Err(
                invalid("message has no header `id`: give it one".to_owned()).with("topic", &message.topic)
            );
        }
        if columns
            .free
            .is_some_and(|free| serde_json::from_str::<BTreeMap<String, IgnoredAny>>(free).is_err())
        {
            return Err(invalid(
                "header `headers` is not a JSON object: write one, or leave it out".to_owned(),
            ));
        }
        columns.key = message.key.as_ref().map(|key| text("key", key)).transpose()?;
        Ok(columns)
    }
}

/// A text column holds UTF-8 without NUL.
fn text<'a>(name: &str, value: &'a [u8]) -> Result<&'a str, Error> {
    let what = if name == "key" { "key".to_owned() } else { format!("header {name:?}") };
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => Ok(text),
        Ok(_) => {
            Err(invalid(format!("{what} holds the character NUL, which PostgreSQL refuses: leave it out")))
        }
        Err(_) => Err(invalid(format!("{what} is not UTF-8: write text"))),
    }
}

fn invalid(text: String) -> Error {
    Error::new(ErrorKind::InvalidEvent, text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new("orders.order", "{}").with_header(headers::ID, "m-1")
    }

    #[test]
    fn known_headers_and_the_key_find_their_columns() {
        let message = message()
            .with_key("o-1")
            .with_header(headers::EVENT_TYPE, "orders.order.placed")
            .with_header(headers::CONTENT_TYPE, headers::JSON)
            .with_header(headers::TRACEPARENT, "00-ab-cd-01")
            .with_header(headers::CREATED_AT, "2026-01-01T00:00:00Z")
            .with_header(headers::FREE_HEADERS, r#"{"tenant":"north"}"#);
        let columns = Columns::of(&message).unwrap();
        assert_eq!((columns.event_id, columns.key), ("m-1", Some("o-1")));
        assert_eq!(columns.event_type, Some("orders.order.placed"));
        assert_eq!((columns.content_type, columns.traceparent), (Some(headers::JSON), Some("00-ab-cd-01")));
        assert_eq!(columns.free, Some(r#"{"tenant":"north"}"#));
    }

    #[test]
    fn what_no_column_keeps_is_refused_by_name() {
        for (message, said) in [
            (message().with_header("tenant", "north"), "\"tenant\""),
            (message().with_key("a\0b"), "key holds"),
            (message().with_key(vec![0xff]), "key is not UTF-8"),
            (message().with_header(headers::TRACEPARENT, "a\0b"), "\"traceparent\" holds"),
            (message().with_header(headers::FREE_HEADERS, "[1]"), "not a JSON object"),
            (message().with_header(headers::FREE_HEADERS, "null"), "not a JSON object"),
            (Message::new("orders.order", "{}"), "no header `id`"),
            (message().with_header(headers::ID, "x".repeat(201)), "longer than 200 bytes"),
        ] {
            let error = Columns::of(&message).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::InvalidEvent, "{said}");
            assert!(error.to_string().contains(said), "{error} does not say {said}");
        }
    }
}
