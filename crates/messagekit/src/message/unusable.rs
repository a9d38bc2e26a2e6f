//! Why a message has no identity.

use crate::store::{Failure, FailureKind};

/// The reason why a message has no identity; it becomes a failed message under its position.
#[derive(Debug)]
pub(crate) struct Unusable(pub(crate) Failure);

pub(super) fn unusable(kind: FailureKind, text: impl Into<String>) -> Unusable {
    Unusable(Failure::permanent(kind, text))
}

/// Refuses another payload than a JSON object. Check explicitly: serde reads an array as an object, field by position.
pub(super) fn check_object(payload: &[u8]) -> Result<(), Unusable> {
    if payload.is_empty() {
        return Err(unusable(FailureKind::Undecodable, "payload is empty"));
    }
    if payload.trim_ascii_start().first() != Some(&b'{') {
        let text = match payload {
            [0xef, 0xbb, 0xbf, ..] => "payload begins with a byte order mark: write it without",
            // <https://docs.confluent.io/platform/current/schema-registry/fundamentals/serdes-develop/index.html#wire-format>
            [0, _, _, _, _, ..] => {
                "payload is framed for a schema registry: read the topic through `Schemas::source` of messagekit-schema-registry"
            }
            _ => "payload is not a JSON object",
        };
        return Err(unusable(FailureKind::Undecodable, text));
    }
    Ok(())
}
