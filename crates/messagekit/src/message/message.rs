//! The encoded event.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use super::headers::{self, Headers};
use crate::names::check_topic;
use crate::{Error, ErrorKind};

/// Maximum payload size of a producer: 900,000 bytes. Key and headers still fit below the 1,048,576 bytes that a Kafka
/// producer sends by default.
pub const MAX_PAYLOAD_BYTES: usize = 900_000;

/// Maximum total size of key and headers: 100,000 bytes, which fit beside the largest payload.
pub const MAX_KEY_AND_HEADER_BYTES: usize = 100_000;

/// Maximum number of headers of a message.
pub const MAX_HEADERS: usize = 256;

/// Holds an encoded event: topic, key, headers and payload bytes.
///
/// Stores and transports carry it unchanged and do not read the payload. A clone does not copy the payload.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: Arc<str>,
    /// The key whose messages keep their order; bytes, to preserve any record.
    pub key: Option<Bytes>,
    /// The headers.
    pub headers: Headers,
    /// The encoded event.
    pub payload: Bytes,
}

impl Message {
    /// Creates a message without key and headers.
    pub fn new(topic: impl Into<Arc<str>>, payload: impl Into<Bytes>) -> Self {
        Self { topic: topic.into(), key: None, headers: Headers::new(), payload: payload.into() }
    }

    /// Sets the key.
    #[must_use]
    pub fn with_key(mut self, key: impl Into<Bytes>) -> Self {
        self.key = Some(key.into());
        self
    }

    /// Sets a header and replaces one of the same name.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<Bytes>) -> Self {
        self.headers.set(name, value);
        self
    }

    /// Checks that every hop can carry the message: the topic's name by [`check_topic`](crate::adapter::check_topic), and [the
    /// sizes](Self::check_sizes).
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidEvent`] for the topic, and errors of [`check_sizes`](Self::check_sizes). A retry
    /// does not help.
    pub fn check(&self) -> Result<(), Error> {
        check_topic(&self.topic)?;
        self.check_sizes()
    }

    /// Checks the sizes that every hop can carry. Use it for a transport with its own rule for names.
    ///
    /// # Errors
    /// Returns [`ErrorKind::TooLarge`] above [`MAX_PAYLOAD_BYTES`], [`MAX_KEY_AND_HEADER_BYTES`] or [`MAX_HEADERS`]. A
    /// retry does not help.
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

    /// Returns the event type that its headers name, without reading the payload.
    pub fn event_type(&self) -> Option<&str> {
        self.headers.text(headers::EVENT_TYPE).or_else(|| self.headers.text(headers::CE_TYPE))
    }

    /// Returns the approximate size of the message in memory and on the wire in bytes: key, headers and payload.
    pub fn size(&self) -> usize {
        self.key.as_ref().map_or(0, Bytes::len) + self.headers.size() + self.payload.len()
    }
}

/// Shows sizes, never the payload: it may be unsuitable for logs.
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
