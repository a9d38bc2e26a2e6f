//! Events that the broker refused, for the people who mend them.

use jiff::Timestamp;

use crate::failed_messages::Operator;
use crate::store::BoxFuture;
use crate::{Error, MessageId};

/// An event that was set aside on its publishing mode.
#[derive(Clone, Debug, PartialEq)]
pub struct RejectedEvent {
    /// Its number.
    pub id: i64,
    /// The event's id.
    pub event_id: MessageId,
    /// Its topic.
    pub topic: String,
    /// Its type.
    pub event_type: Option<String>,
    /// Its key.
    pub key: Option<String>,
    /// How many bytes its payload has.
    pub payload_bytes: u64,
    /// How often the broker refused it; 0 for one that waits behind a refused one of its key.
    pub attempts: u32,
    /// What the broker said last; `None` for one that waits.
    pub error: Option<String>,
    /// When its row was written.
    pub created_at: Timestamp,
    /// When it was set aside.
    pub rejected_at: Timestamp,
    /// How many wait behind it; 0 for one that waits itself.
    pub behind: u64,
}

/// Listing and mending what was set aside on the publishing mode.
pub trait RejectedEvents: Send + Sync {
    /// Lists at most `limit` events with a number above `after`, by number; those that wait behind others only if
    /// `with_waiting`.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn rejected(
        &self,
        after: i64,
        limit: u32,
        with_waiting: bool,
    ) -> BoxFuture<'_, Result<Vec<RejectedEvent>, Error>>;

    /// Puts an event, and everything of its topic and key, back into the outbox, in order: the relay publishes them next.
    /// Returns how many. One row of the audit is written in the same transaction.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) without such an event; transient if the database does not answer.
    fn retry_rejected<'a>(&'a self, id: i64, operator: &'a Operator) -> BoxFuture<'a, Result<u64, Error>>;

    /// Gives an event up: it is never published. What waits behind it goes back into the outbox, in order, unless another
    /// refused one of its key stands before. Returns how many went back. One row of the audit is written in the same
    /// transaction.
    ///
    /// # Errors
    /// As [`retry_rejected`](Self::retry_rejected); [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) for one that only
    /// waits: discard or retry the one it waits for.
    fn discard_rejected<'a>(&'a self, id: i64, operator: &'a Operator) -> BoxFuture<'a, Result<u64, Error>>;
}
