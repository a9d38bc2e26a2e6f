//! A record as a handler gets it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use messagekit::{Error, ErrorKind};
use messagekit_wire::TopicMessage;
use serde::de::DeserializeOwned;

/// A record of a topic, claimed for a group. A clone is the same record.
#[derive(Clone)]
pub struct Message(Arc<TopicMessage>);

impl Message {
    /// # Errors
    /// [`ErrorKind::Undecodable`] for a time that no clock shows.
    pub(crate) fn of(sent: TopicMessage) -> Result<Self, Error> {
        Timestamp::from_millisecond(sent.timestamp_ms).map_err(|_| {
            Error::new(ErrorKind::Undecodable, "timestamp_ms is no time")
                .with("topic", &sent.topic_id)
                .with("partition", sent.partition_id)
                .with("offset", sent.offset)
        })?;
        Ok(Self(Arc::new(sent)))
    }

    /// Returns the topic.
    pub fn topic(&self) -> &str {
        &self.0.topic_id
    }

    /// Returns the partition.
    pub fn partition(&self) -> i32 {
        self.0.partition_id
    }

    /// Returns the offset in the partition.
    pub fn offset(&self) -> i64 {
        self.0.offset
    }

    /// Returns the key.
    pub fn key(&self) -> Option<&str> {
        self.0.key.as_deref()
    }

    /// Returns the bytes of the record.
    pub fn payload(&self) -> &Bytes {
        &self.0.payload
    }

    /// Reads the payload as JSON.
    ///
    /// # Errors
    /// [`ErrorKind::Undecodable`] if it is none of this type. The error holds nothing of the payload.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Error> {
        serde_json::from_slice(&self.0.payload).map_err(|error| {
            Error::new(ErrorKind::Undecodable, "payload is not what is expected")
                .with("line", error.line())
                .with("column", error.column())
        })
    }

    /// Returns when the topic got it.
    pub fn timestamp(&self) -> Timestamp {
        Timestamp::from_millisecond(self.0.timestamp_ms).expect("`of` has checked it")
    }

    /// Returns who changed the row, if the writer has said so.
    pub fn user(&self) -> Option<&str> {
        self.0.user.as_deref()
    }

    /// Returns `Insert`, `Update`, `Delete` or `Truncate`.
    pub fn op(&self) -> &str {
        &self.0.op
    }

    /// Returns the id of its event. It is the same whenever the event comes again, so effects that are kept under it happen once.
    pub fn event_id(&self) -> Option<&str> {
        self.0.event_id.as_deref()
    }

    /// Returns the type of its event.
    pub fn event_type(&self) -> Option<&str> {
        self.0.event_type.as_deref()
    }

    /// Returns the number of this delivery to the group, from 1.
    pub fn attempt(&self) -> u32 {
        self.0.attempt.unwrap_or(1)
    }

    /// Returns the free headers, with those of the trace and the links of the event.
    pub fn headers(&self) -> &BTreeMap<String, String> {
        &self.0.headers
    }
}

/// Without payload and headers.
impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("topic", &self.topic())
            .field("partition", &self.partition())
            .field("offset", &self.offset())
            .field("event_id", &self.event_id())
            .field("attempt", &self.attempt())
            .finish_non_exhaustive()
    }
}
