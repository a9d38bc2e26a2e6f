//! The id of a CloudEvent among all messages.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::uri::is_uri_reference;
use crate::{MessageId, hex};

/// Returns the id of an event that has no id of messagekit: its own if that is a UUID, else source and id, because only both
/// together are unique (CloudEvents 1.0, 3.1.1). What is too long for an id is hashed.
///
/// A space separates the two, because a source that is a URI reference has none. Any other source is hashed with its length, so that its
/// event, which no reader takes, never has the id of one that is read.
pub(in crate::message) fn message_id<'a>(source: &str, id: Cow<'a, str>) -> Cow<'a, str> {
    if id.is_empty() || Uuid::try_parse(&id).is_ok() {
        return id;
    }
    let both = format!("{source} {id}");
    if !is_uri_reference(source) {
        return hashed(&format!("{} {both}", source.len()));
    }
    if both.len() <= MessageId::MAX_BYTES {
        return Cow::Owned(both);
    }
    hashed(&both)
}

fn hashed<'a>(text: &str) -> Cow<'a, str> {
    Cow::Owned(format!("cloudevent {}", hex::digits(Sha256::digest(text))))
}
