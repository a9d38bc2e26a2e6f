//! Determines the identity of a received message.

use std::borrow::Cow;

use jiff::Timestamp;

use super::cloud_events::{self, ReceivedForm, message_id};
use super::headers::{CE_ID, CE_SOURCE, CE_SPECVERSION, ID, UNREADABLE};
use super::json_error::describe;
use super::raw_envelope::RawEnvelope;
use super::unusable::{Unusable, check_object, unusable};
use super::{Message, MessageId, Meta};
use crate::store::{Failure, FailureKind};
use crate::{Error, ErrorKind};

/// Holds the id of a message: header `id`, else `ce_id`, else `eventId` or `event_id` of the payload. The payload
/// serves publishers that send no headers. Of a CloudEvent without header `id` it is the attribute `id` if that is a UUID, else
/// `source` and `id`: only both together are unique.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub MessageId);

impl Identity {
    /// Reads the id of a message, for custom loops.
    ///
    /// # Errors
    /// Returns [`ErrorKind::Undecodable`] if there is no id, if it is not usable, or if header and payload differ. A
    /// retry does not help.
    pub fn of(message: &Message) -> Result<Self, Error> {
        identify(message).map(|meta| Self(meta.event_id)).map_err(|unusable| {
            Error::new(ErrorKind::Undecodable, unusable.0.error).with("topic", &message.topic)
        })
    }

    /// Reads the id alone; reads the payload only if the headers have none, and does not compare the two.
    ///
    /// # Errors
    /// Returns a permanent [`Failure`] if there is no id, or if it is not usable.
    pub fn unchecked(message: &Message) -> Result<MessageId, Failure> {
        let id = match id_in_headers(message) {
            Some(header) => header.and_then(|id| usable_id(&id)),
            None => read(message)
                .and_then(|(form, found)| usable_id(&id_in_fields(&found, form).ok_or_else(no_id)?)),
        };
        id.map_err(|Unusable(failure)| failure)
    }

    /// Returns the id of a message even if the message is otherwise invalid. Returns `None` if the id is missing or not
    /// usable, or if header and payload differ.
    pub fn undisputed(message: &Message) -> Option<MessageId> {
        match identify(message) {
            Ok(meta) => Some(meta.event_id),
            Err(Unusable(failure)) if failure.kind == FailureKind::IdMismatch => None,
            Err(_) => usable_id(&id_in_headers(message)?.ok()?).ok(),
        }
    }
}

impl Failure {
    /// Returns the failure if the transport could not read the message completely. Its id is not trusted: the missing part
    /// may change the meaning, and a readable copy with that id must not count as processed.
    pub fn of_unreadable(message: &Message) -> Option<Self> {
        let reason = String::from_utf8_lossy(message.headers.get(UNREADABLE)?);
        let text = format!("message cannot be read: {reason}");
        Some(Self::permanent(FailureKind::Unreadable, text))
    }
}

/// Returns the id in the headers, without reading the payload.
fn id_in_headers(message: &Message) -> Option<Result<Cow<'_, str>, Unusable>> {
    let header = |name| {
        let text = std::str::from_utf8(message.headers.get(name)?).map(Cow::Borrowed);
        Some(text.map_err(|_| unusable(FailureKind::BadId, "message id is not UTF-8")))
    };
    if let Some(id) = header(ID) {
        return Some(id);
    }
    let id = header(CE_ID)?;
    match (message.headers.get(CE_SPECVERSION), message.headers.text(CE_SOURCE)) {
        (Some(_), Some(source)) => Some(id.map(|id| message_id(source, id))),
        _ => Some(id),
    }
}

/// Returns the id among the fields of a message without one in its headers.
fn id_in_fields<'a>(found: &RawEnvelope<'a>, form: ReceivedForm) -> Option<Cow<'a, str>> {
    let id = found.event_id.clone()?;
    Some(match (form, &found.source) {
        (ReceivedForm::Structured | ReceivedForm::Binary, Some(source)) => message_id(source, id),
        _ => id,
    })
}

fn usable_id(text: &str) -> Result<MessageId, Unusable> {
    text.parse().map_err(|error: Error| unusable(FailureKind::BadId, error.to_string()))
}

fn no_id() -> Unusable {
    let text = "message has no id: neither header id, header ce_id nor field eventId, nor attribute id of a CloudEvent";
    unusable(FailureKind::MissingId, text)
}

/// Reads the envelope fields of the message, in the wire form that it has.
fn read(message: &Message) -> Result<(ReceivedForm, RawEnvelope<'_>), Unusable> {
    let form = ReceivedForm::of(message)?;
    let fields = match form {
        ReceivedForm::Structured => cloud_events::read_structured(message)?,
        ReceivedForm::Binary => cloud_events::read_binary(message)?,
        ReceivedForm::Messagekit => {
            check_object(&message.payload)?;
            serde_json::from_slice(&message.payload).map_err(|error| {
                let text = format!("payload is not messagekit JSON: {}", describe(&error));
                unusable(FailureKind::Undecodable, text)
            })?
        }
    };
    Ok((form, fields))
}

/// Reads the metadata of a message: the first of two passes over its payload.
///
/// Header and payload must agree on id and type. On a mismatch, the message is stored under its position, so neither id
/// counts as processed.
pub(crate) fn identify(message: &Message) -> Result<Meta, Unusable> {
    let (form, found) = read(message)?;
    let id = match (id_in_headers(message).transpose()?, id_in_fields(&found, form)) {
        (Some(header), Some(field)) => {
            if field != header && found.event_id.as_ref() != Some(&header) {
                return Err(unusable(FailureKind::IdMismatch, "header and payload name different ids"));
            }
            header
        }
        (Some(id), None) | (None, Some(id)) => id,
        (None, None) => return Err(no_id()),
    };
    let event_id = usable_id(&id)?;

    let event_type = match (message.event_type(), &found.event_type) {
        (Some(header), Some(body)) if header != body => {
            return Err(unusable(FailureKind::TypeMismatch, "header and payload name different types"));
        }
        (Some(header), _) => header.to_owned(),
        (None, Some(body)) => body.to_string(),
        (None, None) => {
            return Err(unusable(
                FailureKind::MissingType,
                "message has no type: neither header eventType, header ce_type nor field eventType, nor attribute type of a CloudEvent",
            ));
        }
    };
    let key = message.key.as_deref().map(std::str::from_utf8).transpose();
    let key = key.map_err(|_| unusable(FailureKind::BadKey, "key is not UTF-8"))?;
    let related = |id: Option<Cow<'_, str>>| id.and_then(|id| id.parse().ok());
    Ok(Meta {
        event_id,
        event_type,
        aggregate_id: found.aggregate_id.map(Into::into).or_else(|| key.map(str::to_owned)),
        occurred_at: found.occurred_at.unwrap_or(Timestamp::UNIX_EPOCH),
        source: found.source.map(Into::into).unwrap_or_default(),
        data_version: found.data_version.map_or_else(|| "1.0".to_owned(), Into::into),
        correlation_id: related(found.correlation_id),
        causation_id: related(found.causation_id),
        metadata: found.metadata.unwrap_or_default(),
    })
}

impl Meta {
    /// Reads metadata from the headers alone, for raw message handlers; `None` if id or type is missing.
    pub(crate) fn from_headers(message: &Message) -> Option<Result<Self, Unusable>> {
        let id = id_in_headers(message)?;
        let event_type = message.event_type()?;
        Some(id.and_then(|id| usable_id(&id)).map(|event_id| Self::unread(event_id, event_type, message)))
    }

    /// Creates the metadata that is known without reading the payload.
    pub(crate) fn unread(event_id: MessageId, event_type: &str, message: &Message) -> Self {
        Self {
            event_id,
            event_type: event_type.to_owned(),
            aggregate_id: message
                .key
                .as_deref()
                .and_then(|key| std::str::from_utf8(key).ok())
                .map(str::to_owned),
            occurred_at: Timestamp::UNIX_EPOCH,
            source: String::new(),
            data_version: "1.0".to_owned(),
            correlation_id: None,
            causation_id: None,
            metadata: Default::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Creates a message with these headers and this payload.
    fn message(headers: &[(&str, &str)], payload: &str) -> Message {
        headers.iter().fold(Message::new("t", payload.to_owned()), |message, (name, value)| {
            message.with_header(name, (*value).to_owned())
        })
    }

    fn kind_of(message: &Message) -> FailureKind {
        identify(message).expect_err("no identity").0.kind
    }

    #[test]
    fn message_id_comes_from_header_then_cloud_events_then_payload() {
        let typed = |fields: &str| format!(r#"{{"eventType":"a.b"{fields}}}"#);
        for (headers, fields) in [
            (&[("id", "m-1")][..], ""),
            (&[("id", "m-1"), ("ce_id", "other")], ""),
            (&[("id", "m-1")], r#","eventId":"m-1""#),
            (&[("id", "m-1")], r#","eventId":null"#),
            (&[("ce_id", "m-1")], ""),
            (&[("ce_id", "m-1")], r#","event_id":"m-1""#),
            (&[], r#","eventId":"m-1""#),
            (&[], r#","event_id":"m-1""#),
            (&[], r#","event_id":"m\u002d1""#),
        ] {
            let message = message(headers, &typed(fields));
            assert_eq!(Identity::of(&message).expect("an id").0.as_str(), "m-1", "{headers:?} {fields}");
        }
    }

    #[test]
    fn header_and_payload_must_agree() {
        let ids = |header: &str, payload: &str| {
            kind_of(&message(&[(header, "m-1")], &format!(r#"{{"eventType":"a.b","{payload}":"m-2"}}"#)))
        };
        let types = |header: &str, payload: &str| {
            kind_of(&message(&[("id", "m-1"), (header, "a.b")], &format!(r#"{{"{payload}":"a.c"}}"#)))
        };
        for header in ["id", "ce_id"] {
            assert_eq!(ids(header, "eventId"), FailureKind::IdMismatch);
            assert_eq!(ids(header, "event_id"), FailureKind::IdMismatch);
        }
        for header in ["eventType", "ce_type"] {
            assert_eq!(types(header, "eventType"), FailureKind::TypeMismatch);
            assert_eq!(types(header, "event_type"), FailureKind::TypeMismatch);
        }
        let body = message(&[], r#"{"eventId":"m-1","eventType":"a.b","event_type":"a.b"}"#);
        assert_eq!(kind_of(&body), FailureKind::Undecodable, "one field in two spellings");
    }

    #[test]
    fn an_absent_identity_is_said_to_be_absent() {
        assert_eq!(kind_of(&message(&[], r#"{"eventType":"a.b"}"#)), FailureKind::MissingId);
        assert_eq!(kind_of(&message(&[], r#"{"eventId":"m-1"}"#)), FailureKind::MissingType);
        let error = Identity::of(&message(&[], "{}")).expect_err("no id");
        assert_eq!((error.kind(), error.context("topic")), (ErrorKind::Undecodable, Some("t")));
    }

    #[test]
    fn a_key_stands_in_for_an_absent_aggregate_id() {
        let with_key =
            |payload: &str| identify(&message(&[], payload).with_key("k")).expect("a meta").aggregate_id;
        let payload = r#"{"eventId":"m-1","eventType":"a.b""#;
        assert_eq!(with_key(&format!("{payload}}}")).as_deref(), Some("k"));
        assert_eq!(with_key(&format!(r#"{payload},"aggregateId":"own"}}"#)).as_deref(), Some("own"));
    }

    #[test]
    fn an_unusable_id_of_a_cause_is_left_out() {
        let payload = r#"{"eventId":"m-1","eventType":"a.b","causationId":"at:t/0/1","correlationId":""}"#;
        let meta = identify(&message(&[], payload)).expect("a meta");
        assert_eq!((meta.causation_id, meta.correlation_id), (None, None));
    }

    #[test]
    fn headers_alone_are_enough_for_who_takes_bytes() {
        let bytes = |headers: &[(&str, &str)]| {
            Meta::from_headers(&message(headers, "\u{0}")).map(|meta| meta.is_ok())
        };
        assert_eq!(bytes(&[("id", "m-1"), ("eventType", "a.b")]), Some(true));
        assert_eq!(bytes(&[("ce_id", "m-1"), ("ce_type", "a.b")]), Some(true));
        assert_eq!(bytes(&[("id", ""), ("eventType", "a.b")]), Some(false), "an unusable id is no absent id");
        assert_eq!(bytes(&[("id", "m-1")]), None);
        assert_eq!(bytes(&[("eventType", "a.b")]), None);
    }
}
