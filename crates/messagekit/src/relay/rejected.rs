//! Rejected events, and the operations to retry or discard them.

use jiff::Timestamp;

use crate::failed_messages::Operator;
use crate::store::BoxFuture;
use crate::{Error, MessageId};

/// An event that the relay has set aside.
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
    /// The number of refusals by the broker; 0 for an event that waits behind a rejected one of its key.
    pub attempts: u32,
    /// The last error of the broker; `None` for an event that waits.
    pub error: Option<String>,
    /// The time when its row was written.
    pub created_at: Timestamp,
    /// The time when it was set aside.
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

    /// Puts an event, and all later events of its topic and key, back into the outbox, in order; the relay publishes them next.
    /// Returns their number. It writes one audit row in the same transaction.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if the event does not exist. A transient error if the database does
    /// not answer: retry.
    fn retry_rejected<'a>(&'a self, id: i64, operator: &'a Operator) -> BoxFuture<'a, Result<u64, Error>>;

    /// Discards an event: it is never published. Events that wait behind it go back into the outbox, in order, unless another
    /// rejected event of its key precedes them. Returns the number of events put back. It writes one audit row in the same
    /// transaction.
    ///
    /// # Errors
    /// As [`retry_rejected`](Self::retry_rejected). [`ErrorKind::WrongState`](crate::ErrorKind::WrongState) for an event that
    /// only waits: discard or retry the event that it waits for.
    fn discard_rejected<'a>(&'a self, id: i64, operator: &'a Operator) -> BoxFuture<'a, Result<u64, Error>>;
}
