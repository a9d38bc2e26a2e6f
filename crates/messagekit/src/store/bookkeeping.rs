//! Storing dead letters of brokers beside the failed messages of consumers.

use std::future::Future;
use std::time::Duration;

use super::{Failure, ReceivedMessage, Retries, RetryLease, SetAsideOutcome, Store};
use crate::failed_messages::Origin;
use crate::{Error, MessageId};

/// A dead letter found at a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDeadLetter {
    /// Its origin: a dead-letter queue or a dead-letter topic.
    pub origin: Origin,
    /// The queue or topic where it died: `queue:` or `topic:` and the name. Failed messages of consumers have the consumer name
    /// there.
    pub scope: String,
    /// The queue or topic that a retry publishes to. `None` if it is unknown: the failed message cannot be retried.
    pub return_to: Option<String>,
    /// The message, with the id of the original.
    pub received: ReceivedMessage,
    /// The reason; `next` is always dead.
    pub failure: Failure,
}

/// A leased failed message that the bookkeeper publishes back to its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// The scope of the failed message: the consumer name of its lease.
    pub scope: String,
    /// Its origin: a queue or a topic.
    pub origin: Origin,
    /// The queue or topic to publish to.
    pub return_to: String,
    /// The lease. `received.id` is the id of the failed message.
    pub leased: RetryLease,
}

/// The store operations of the bookkeeper.
#[diagnostic::on_unimplemented(message = "`{Self}` does not keep what died at a broker")]
pub trait Bookkeeping: Store + Retries<<Self as Store>::Tx> {
    /// Stores a complete dead letter as a dead failed message, with the marker `held` under its scope. A message that is found
    /// twice in one queue or topic becomes one failed message.
    ///
    /// # Errors
    /// A transient error if the database does not answer: nothing was stored, retry.
    fn keep(
        &self,
        tx: &mut Self::Tx,
        found: &BrokerDeadLetter,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;

    /// Records that an event of this database's outbox failed at `scope`. Returns false if the event does not come from this
    /// outbox. Recording it twice changes nothing.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn note_failure(
        &self,
        tx: &mut Self::Tx,
        event_id: &MessageId,
        scope: &str,
        reason: &str,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Leases at most `max` failed messages of `origin` whose redelivery an operator requested, in any scope, for `lease`.
    /// After publishing, the store's [`Retries`] resolve, fail or hand them back under their scope.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn lease_returns(
        &self,
        origin: Origin,
        max: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Redelivery>, Error>> + Send;
}
