//! The id of a CloudEvent among all messages.

use std::borrow::Cow;

use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::MessageId;
use crate::hex;

/// Returns the id of an event that has no id of messagekit: its own if that is a UUID, else source and id, because only both
/// together are unique (CloudEvents 1.0, 3.1.1). What is too long for an id is hashed.
pub(in crate::message) fn message_id<'a>(source: &str, id: Cow<'a, str>) -> Cow<'a, str> {
    if id.is_empty() || Uuid::try_parse(&id).is_ok() {
        return id;
    }
    let both = format!("{source} {id}");
    if both.len() <= MessageId::MAX_BYTES {
        return Cow::Owned(both);
    }
    Cow::Owned(format!("cloudevent {}", hex::digits(Sha256::digest(both))))
}
