//! Keeping what died at a broker beside the failed messages of consumers.

use std::future::Future;
use std::time::Duration;

use super::{Failure, ReceivedMessage, RetryLease, SetAsideOutcome, Store};
use crate::failed_messages::Origin;
use crate::{Error, MessageId};

/// A message that was found dead at a broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrokerDeadLetter {
    /// Which way it came.
    pub origin: Origin,
    /// Where it died: `queue:` or `topic:` and the name. Stands where failed messages of consumers have the consumer.
    pub scope: String,
    /// The queue or topic a retry goes to, or `None` where nobody said: such a failed message cannot be retried.
    pub return_to: Option<String>,
    /// The message, with the id of the original.
    pub received: ReceivedMessage,
    /// Why it died; `next` is always dead.
    pub failure: Failure,
}

/// A leased failed message on its way back to its broker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redelivery {
    /// The scope under which it is kept: the consumer of its lease.
    pub scope: String,
    /// Queue or topic.
    pub origin: Origin,
    /// Where it goes.
    pub return_to: String,
    /// The lease; `received.id` is the id under which the failed message is kept.
    pub leased: RetryLease,
}

/// What the bookkeeper writes.
#[diagnostic::on_unimplemented(message = "`{Self}` does not keep what died at a broker")]
pub trait Bookkeeping: Store {
    /// Keeps a dead message whole, dead at once, with the marker `held` under its scope: the same message found twice in one
    /// place is one failed message.
    ///
    /// # Errors
    /// Transient if the database does not answer; nothing was kept then.
    fn keep(
        &self,
        tx: &mut Self::Tx,
        found: &BrokerDeadLetter,
    ) -> impl Future<Output = Result<SetAsideOutcome, Error>> + Send;

    /// Notes that an event of this database's outbox failed at `scope`. Returns false when the event is not from here; noting
    /// it twice changes nothing.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn note_failure(
        &self,
        tx: &mut Self::Tx,
        event_id: &MessageId,
        scope: &str,
        reason: &str,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Leases at most `max` failed messages of `origin` that a person wants to go back, whatever their scope, for `lease`. What
    /// was published is then resolved, failed or handed back by [`Retries`](super::Retries) under its scope.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn lease_returns(
        &self,
        origin: Origin,
        max: u32,
        lease: Duration,
    ) -> impl Future<Output = Result<Vec<Redelivery>, Error>> + Send;
}
