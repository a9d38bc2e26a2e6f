//! Rejected events, and the operations to retry or discard them.

use jiff::Timestamp;
use serde::Serialize;

use crate::byte_text::{self};
use crate::failed_messages::Operator;
use crate::store::BoxFuture;
use crate::{Error, ErrorKind, MessageId};

/// What an operator does with a rejected event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RejectedAction {
    /// Puts the event, and all later events of its topic and key, back into the outbox.
    Retry,
    /// Never publishes the event. Events that wait for it alone go back into the outbox.
    Discard,
}

crate::__words! {
    RejectedAction {
        Retry: "retry-rejected",
        Discard: "discard-rejected",
    }
}

impl RejectedAction {
    /// Refuses to discard an event that no broker rejected: its turn comes when the one before it is retried or discarded.
    /// A store calls it under the lock of the event.
    ///
    /// # Errors
    /// [`ErrorKind::WrongState`]. A retry does not help.
    pub fn check(self, id: i64, is_rejected: bool) -> Result<(), Error> {
        if self == Self::Retry || is_rejected {
            return Ok(());
        }
        let text = "event only waits behind a rejected one of its key: retry or discard that one";
        Err(Error::new(ErrorKind::WrongState, text).with("id", id))
    }
}

/// Creates the error for the number of an event that is not set aside; every outbox uses it.
pub fn no_rejected_event(id: i64) -> Error {
    Error::new(ErrorKind::NotFound, "no event of this number was set aside: list them again").with("id", id)
}

/// An event that the relay has set aside.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct RejectedEvent {
    /// Its number.
    #[cfg_attr(feature = "openapi", schema(minimum = 1))]
    pub id: i64,
    /// The event's id.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub event_id: MessageId,
    /// Its topic.
    pub topic: String,
    /// Its type.
    pub event_type: Option<String>,
    /// Its key.
    #[serde(serialize_with = "byte_text::serialize")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<byte_text::ByteText>))]
    pub key: Option<String>,
    /// How many bytes its payload has.
    pub payload_bytes: u64,
    /// The number of refusals by the broker; 0 for an event that waits behind a rejected one of its key.
    pub attempts: u32,
    /// The last error of the broker; null for an event that waits.
    pub error: Option<String>,
    /// The time when its row was written.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub created_at: Timestamp,
    /// The time when it was set aside.
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub rejected_at: Timestamp,
    /// The number of events that wait behind it; 0 for an event that waits itself.
    pub behind: u64,
}

/// Lists, retries and discards rejected events.
pub trait RejectedEvents: Send + Sync {
    /// Lists at most `limit` events with a number above `after`, by number. Events that wait behind others are included only if
    /// `with_waiting` is true.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn rejected(
        &self,
        after: i64,
        limit: u32,
        with_waiting: bool,
    ) -> BoxFuture<'_, Result<Vec<RejectedEvent>, Error>>;

    /// Applies an action to an event, writes one row of the audit in the same transaction, and returns how many events went back into
    /// the outbox, in order. The relay publishes them next. A discarded event is never published; the events that wait behind it
    /// go back, unless another rejected event of their key precedes them.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] if the event does not exist. [`ErrorKind::WrongState`] to discard an event that only waits. A transient
    /// error if the database does not answer: retry.
    fn act_on_rejected<'a>(
        &'a self,
        action: RejectedAction,
        id: i64,
        operator: &'a Operator,
    ) -> BoxFuture<'a, Result<u64, Error>>;

    /// Puts an event, and all later events of its topic and key, back into the outbox, as [`RejectedAction::Retry`].
    ///
    /// # Errors
    /// As [`act_on_rejected`](Self::act_on_rejected).
    fn retry_rejected<'a>(&'a self, id: i64, operator: &'a Operator) -> BoxFuture<'a, Result<u64, Error>> {
        self.act_on_rejected(RejectedAction::Retry, id, operator)
    }

    /// Discards an event, as [`RejectedAction::Discard`].
    ///
    /// # Errors
    /// As [`act_on_rejected`](Self::act_on_rejected).
    fn discard_rejected<'a>(&'a self, id: i64, operator: &'a Operator) -> BoxFuture<'a, Result<u64, Error>> {
        self.act_on_rejected(RejectedAction::Discard, id, operator)
    }
}
