//! Message ids.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::headers::X_DEATH;
use super::{Message, Position};
use crate::{Error, ErrorKind, hex};

/// Identifies a message on every hop; two messages with the same id are the same message.
///
/// Own ids are UUIDs of version 7. Ids of other publishers are kept unchanged: 1 to 200 bytes of text without control
/// characters. A clone only increments a reference count.
///
/// ```
/// use messagekit::MessageId;
///
/// assert_ne!(MessageId::new(), MessageId::new());
/// assert!("order-7".parse::<MessageId>().is_ok());
/// assert!("".parse::<MessageId>().is_err());
/// ```
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(Arc<str>);

impl MessageId {
    /// Maximum length of an id in bytes: longer ids do not fit into every database's index.
    pub const MAX_BYTES: usize = 200;

    /// Prefix of the id of a message without a usable id.
    const AT: &str = "at:";

    /// Creates a UUID of version 7, increasing within the process.
    #[expect(clippy::new_without_default, reason = "a default that differs each time would surprise")]
    pub fn new() -> Self {
        let mut buffer = uuid::Uuid::encode_buffer();
        Self(Arc::from(&*uuid::Uuid::now_v7().hyphenated().encode_lower(&mut buffer)))
    }

    /// Creates an id from the position of a message without a usable id: `at:topic/partition/offset`.
    pub fn at(position: &Position) -> Self {
        Self(Arc::from(format!("{}{position}", Self::AT)))
    }

    /// Creates an id from the content of a message without a usable id and without a position. It is `at:topic/` and a
    /// SHA-256 over topic, key, headers and payload, in hexadecimal digits. Headers that a broker adds (`x-death`) do
    /// not count, so a redelivery gets the same id.
    pub fn of_contents(message: &Message) -> Self {
        let mut hash = Sha256::new();
        let mut add = |part: &[u8]| {
            // Prefix each part with its length to keep the parts separate.
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        add(message.topic.as_bytes());
        // An absent key differs from an empty key.
        add(message.key.as_ref().map_or(b"", |_| b"key"));
        add(message.key.as_deref().unwrap_or_default());
        let mut headers: Vec<_> = message.headers.iter().filter(|(name, _)| *name != X_DEATH).collect();
        headers.sort_unstable();
        for (name, value) in headers {
            add(name.as_bytes());
            add(value);
        }
        add(&message.payload);
        let digits = hex::digits(hash.finalize());
        Self(Arc::from(format!("{}{}/{digits}", Self::AT, message.topic)))
    }

    /// Creates the id of the in-flight attempt for the first messages of a lane.
    pub(crate) fn of_first(lane: &str) -> Self {
        Self(Arc::from(format!("{}{lane}/first", Self::AT)))
    }

    /// Returns whether this id replaces a publisher's id: it begins with `at:`.
    pub fn is_position(&self) -> bool {
        self.0.starts_with(Self::AT)
    }

    /// Returns the text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Creates an id from a stored text, which was checked before it was stored.
    pub fn from_stored(text: &str) -> Self {
        Self(Arc::from(text))
    }
}

impl FromStr for MessageId {
    type Err = Error;

    /// Parses a publisher's id.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidEvent`] if it is empty, too long, holds a control character, or begins with the
    /// reserved prefix `at:`. A retry does not help.
    fn from_str(text: &str) -> Result<Self, Error> {
        let problem = if text.is_empty() {
            "is empty"
        } else if text.len() > Self::MAX_BYTES {
            "is longer than 200 bytes"
        } else if text.chars().any(char::is_control) {
            "holds a control character"
        } else if text.starts_with(Self::AT) {
            "begins with at:, which is reserved for messages without an id"
        } else {
            return Ok(Self(Arc::from(text)));
        };
        Err(Error::new(ErrorKind::InvalidEvent, format!("message id {problem}")).with("bytes", text.len()))
    }
}

impl fmt::Display for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MessageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Serialize for MessageId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for MessageId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        std::borrow::Cow::<str>::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_without_a_name_is_named_after_what_it_holds() {
        let message =
            || Message::new("shipping", "{}").with_key("k").with_header("a", "1").with_header("b", "2");
        let named = MessageId::of_contents(&message());
        assert!(named.as_str().starts_with("at:shipping/") && named.is_position(), "{named}");
        assert_eq!(named.as_str().len(), "at:shipping/".len() + 64);
        assert!(named.as_str().parse::<MessageId>().is_err(), "no publisher can send it");

        let other_order =
            Message::new("shipping", "{}").with_key("k").with_header("b", "2").with_header("a", "1");
        for same in [message(), other_order, message().with_header(X_DEATH, "[]")] {
            assert_eq!(MessageId::of_contents(&same), named);
        }
        let (mut no_key, mut empty_key, mut longer_name) = (message(), message(), message());
        no_key.key = None;
        empty_key.key = Some(Default::default());
        longer_name.headers.remove("a");
        longer_name.headers.set("a1", "");
        let others = [
            no_key,
            empty_key,
            longer_name,
            message().with_key("l"),
            message().with_header("a", "2"),
            message().with_header("c", ""),
            Message { topic: "billing".into(), ..message() },
            Message { payload: "[]".into(), ..message() },
        ];
        let mut names: Vec<MessageId> = others.iter().map(MessageId::of_contents).collect();
        names.push(named);
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 9, "each of them is another message");
    }
}
