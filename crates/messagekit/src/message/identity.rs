//! Who a received message is: the identity rule.

use jiff::Timestamp;

use super::codec::{Found, describe};
use super::headers::{CE_ID, CE_TYPE, EVENT_TYPE, ID};
use super::{Message, MessageId, Meta};
use crate::store::{Failure, FailureKind};
use crate::{Error, ErrorKind};

/// The id of a message, read as header `id`, else `ce_id`, else `eventId` or `event_id` of the payload (a publisher that
/// sends no headers still has an identity).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(pub MessageId);

impl Identity {
    /// Reads the id of a message, for people with a loop of their own.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] when there is no id, when it is not usable, or when header and payload differ.
    pub fn of(message: &Message) -> Result<Self, Error> {
        identify(message).map(|meta| Self(meta.event_id)).map_err(|unusable| {
            Error::new(ErrorKind::Undecodable, unusable.0.error).with("topic", &message.topic)
        })
    }
}

/// Why a message has no identity; it becomes a dead letter under its coordinates.
#[derive(Debug)]
pub(crate) struct Unusable(pub(crate) Failure);

fn unusable(kind: FailureKind, text: impl Into<String>) -> Unusable {
    Unusable(Failure::permanent(kind, text))
}

/// Returns the type that the headers name, without looking into the payload.
pub(crate) fn type_in_headers(message: &Message) -> Option<&str> {
    message.headers.text(EVENT_TYPE).or_else(|| message.headers.text(CE_TYPE))
}

/// Reads the metadata of a message: the first of the two passes over its payload.
///
/// Header and payload must agree on id and type. What differs is kept under its coordinates, so that neither id is
/// swallowed.
pub(crate) fn identify(message: &Message) -> Result<Meta, Unusable> {
    if message.payload.is_empty() {
        return Err(unusable(FailureKind::Undecodable, "payload is empty"));
    }
    let found: Found<'_> = serde_json::from_slice(&message.payload).map_err(|error| {
        unusable(FailureKind::Undecodable, format!("payload is not messagekit JSON: {}", describe(&error)))
    })?;

    let in_header = message.headers.get(ID).or_else(|| message.headers.get(CE_ID));
    let id = match (in_header, &found.event_id) {
        (Some(header), body) => {
            let header = std::str::from_utf8(header)
                .map_err(|_| unusable(FailureKind::BadId, "message id is not UTF-8"))?;
            if body.as_ref().is_some_and(|body| body != header) {
                return Err(unusable(FailureKind::IdMismatch, "header and payload name different ids"));
            }
            header
        }
        (None, Some(body)) => body,
        (None, None) => {
            return Err(unusable(
                FailureKind::MissingId,
                "message has no id: neither header id, header ce_id nor field eventId",
            ));
        }
    };
    let event_id: MessageId =
        id.parse().map_err(|error: Error| unusable(FailureKind::BadId, error.to_string()))?;

    let event_type = match (type_in_headers(message), &found.event_type) {
        (Some(header), Some(body)) if header != body => {
            return Err(unusable(FailureKind::TypeMismatch, "header and payload name different types"));
        }
        (Some(header), _) => header.to_owned(),
        (None, Some(body)) => body.to_string(),
        (None, None) => {
            return Err(unusable(
                FailureKind::MissingType,
                "message has no type: neither header eventType, header ce_type nor field eventType",
            ));
        }
    };
    let key = message.key.as_deref().map(std::str::from_utf8).transpose();
    let key = key.map_err(|_| unusable(FailureKind::BadKey, "key is not UTF-8"))?;
    let related = |id: Option<std::borrow::Cow<'_, str>>| id.and_then(|id| id.parse().ok());
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
    /// Reads what the headers alone say, for handlers that take the message as it is; `None` when id or type is missing.
    pub(crate) fn from_headers(message: &Message) -> Option<Self> {
        let id = message.headers.text(ID).or_else(|| message.headers.text(CE_ID))?;
        Some(Self {
            event_id: id.parse().ok()?,
            event_type: type_in_headers(message)?.to_owned(),
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
        })
    }
}

/// Refuses data of a newer major version than the handler was written for.
pub(crate) fn check_version(found: &str, known: &str) -> Result<(), Failure> {
    let major = |version: &str| version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match (major(found), major(known)) {
        (Some(found_major), Some(known_major)) if found_major <= known_major => Ok(()),
        (Some(found_major), Some(known_major)) => Err(Failure::permanent(
            FailureKind::NewerVersion,
            format!(
                "data version {found_major} is newer than {known_major}, which this consumer knows: deploy the newer consumer, then retry"
            ),
        )),
        _ => Err(Failure::permanent(FailureKind::Undecodable, "data version is not MAJOR.MINOR")),
    }
}
