//! What moves: a [`Message`], its identity, headers and typed form.

pub mod codec;
mod envelope;
pub mod headers;
mod id;
mod identity;
mod position;

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::event::check_topic;
use crate::{Error, ErrorKind};

pub use envelope::{DeliveryInfo, Envelope, Meta};
pub use headers::Headers;
pub use id::MessageId;
pub use identity::Identity;
pub(crate) use identity::{check_version, id_of, identify, type_in_headers, undisputed_id, unreadable};
pub use position::Position;

/// The largest payload a writer accepts: 900,000 bytes, so that key and headers still fit below the 1,048,576 bytes
/// that a Kafka producer sends by default.
pub const MAX_PAYLOAD_BYTES: usize = 900_000;

/// The most bytes that key and headers may have together: 100,000, so that they fit beside the largest payload.
pub const MAX_KEY_AND_HEADER_BYTES: usize = 100_000;

/// The most headers that a message may have.
pub const MAX_HEADERS: usize = 256;

/// An encoded event as it moves: topic, key, headers and payload bytes.
///
/// Stores and transports carry it unchanged and never look into the payload. Cloning copies no payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The stream it belongs to.
    pub topic: Arc<str>,
    /// The key whose messages keep their order; bytes, so that any record can be kept.
    pub key: Option<Bytes>,
    /// The named values that travel beside the payload.
    pub headers: Headers,
    /// The encoded event.
    pub payload: Bytes,
}

impl Message {
    /// Makes a message without key and headers.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), key: None, headers: Headers::new(), payload: payload.into() }
    }

    /// Sets the key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets a header, replacing one of the same name.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Checks that every hop can carry it: the topic's name by [`check_topic`](crate::check_topic), and
    /// [the sizes](Self::check_sizes).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidEvent`] for the topic; else as [`check_sizes`](Self::check_sizes).
    pub fn check(&self) -> Result<(), Error> {
        check_topic(&self.topic)?;
        self.check_sizes()
    }

    /// Checks the sizes that every hop can carry; for a transport that has a rule of its own for names.
    ///
    /// # Errors
    /// [`ErrorKind::TooLarge`] above [`MAX_PAYLOAD_BYTES`], [`MAX_KEY_AND_HEADER_BYTES`] or [`MAX_HEADERS`].
    pub fn check_sizes(&self) -> Result<(), Error> {
        let beside = self.size() - self.payload.len();
        let problem = if self.payload.len() > MAX_PAYLOAD_BYTES {
            format!(
                "message of {} bytes is over the limit of {MAX_PAYLOAD_BYTES}: keep the large part elsewhere and send a reference",
                self.payload.len()
            )
        } else if beside > MAX_KEY_AND_HEADER_BYTES {
            format!(
                "key and headers of {beside} bytes are over the limit of {MAX_KEY_AND_HEADER_BYTES}: put what is large into the payload"
            )
        } else if self.headers.len() > MAX_HEADERS {
            format!("{} headers are over the limit of {MAX_HEADERS}: put them into one", self.headers.len())
        } else {
            return Ok(());
        };
        Err(Error::new(ErrorKind::TooLarge, problem).with("topic", &self.topic))
    }

    /// Returns how many bytes of memory and wire the message roughly takes: key, headers and payload.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.headers.size() + self.payload.len()
    }
}

/// Shows sizes, never the payload: it may hold what must not reach a log.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic)
            .field("id", &self.headers.text(headers::ID))
            .field("event_type", &self.headers.text(headers::EVENT_TYPE))
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}
