//! Measures whether events leave the outbox.

use std::time::Duration;

use crate::Error;
use crate::relay::RejectedEvents;
use crate::store::BoxFuture;

/// Reports the events that wait to be published, as far as the database can tell.
#[derive(Clone, Debug, PartialEq)]
pub struct OutboxLag {
    /// Number of events that are not proven to be published.
    pub pending: u64,
    /// Number of pending events older than ten seconds.
    pub overdue: u64,
    /// Age of the oldest pending event.
    pub oldest: Option<Duration>,
    /// Bytes of the database's log that the replication slot has not confirmed, of all tables; `None` without a slot, and on a
    /// standby.
    pub slot_bytes: Option<u64>,
    /// Human-readable problems that prevent publishing: the slot is inactive, lost or missing. Empty if there are none.
    pub problems: Vec<String>,
}

/// Measures the lag of an outbox.
pub trait OutboxHealth: Send + Sync {
    /// Checks that the database responds.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful. [`ErrorKind::Schema`](crate::ErrorKind::Schema) if
    /// its tables are older than this program.
    fn ping(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// Measures the pending events. With log-based change capture, the [checkpoints](Self::checkpoint) translate the
    /// confirmed position into a time.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn lag(&self) -> BoxFuture<'_, Result<OutboxLag, Error>>;

    /// Records the time and position of the database's log, unless another call did so within `every`. Programs that
    /// serve health or metrics call it regularly. A database without a log records nothing.
    ///
    /// # Errors
    /// Transient if the database does not respond; a retry is useful.
    fn checkpoint(&self, every: Duration) -> BoxFuture<'_, Result<(), Error>>;

    /// Returns the rejected events of the relay. The default is `None`: no relay can publish this outbox.
    fn rejected_events(&self) -> Option<&dyn RejectedEvents> {
        None
    }
}
