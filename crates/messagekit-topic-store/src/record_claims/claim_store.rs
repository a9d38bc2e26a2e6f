//! What a database keeps of record claims.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use messagekit::Error;
use messagekit::Store;
use messagekit::adapter::{BoxFuture, FailedMessageRows, Retries};
use messagekit::log::Record;

use super::claim_id::ClaimHolder;
use super::claim_partition::{ClaimPartitions, WindowDecision};
use super::leased_message::{LeaseOf, LeasedMessage};
use super::turns::ClaimTurns;
use super::window::ClaimWindow;

/// Decides about windows that were seen.
pub type DecideWindows<'a> =
    Box<dyn FnOnce(ClaimPartitions) -> BoxFuture<'a, Result<WindowDecision, Error>> + Send + 'a>;

/// A database that keeps the record claims of consumers beside its own log.
///
/// The rules stand in [`ClaimWindow`], and [`RecordClaimer`](crate::RecordClaimer) follows them: a store only keeps a window for each consumer and
/// partition. [`ClaimWindow::next`] is the consumer's cursor in that partition, the same one that a subscriber moves.
pub trait RecordClaims:
    Store + FailedMessageRows<<Self as Store>::Tx> + Retries<<Self as Store>::Tx>
{
    /// Returns the holder that this handle of the database claims records as. It ends with its process at the latest.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    /// [`ErrorKind::InvalidConfiguration`](messagekit::ErrorKind::InvalidConfiguration) if the store cannot tell whether a process lives.
    fn claim_holder(&self) -> impl Future<Output = Result<ClaimHolder, Error>> + Send;

    /// Returns those holders whose process has ended for certain. A process that only stands still has not.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn ended_holders(
        &self,
        holders: &[ClaimHolder],
    ) -> impl Future<Output = Result<Vec<ClaimHolder>, Error>> + Send;

    /// Returns the partitions of a topic with the consumer's windows, locked until the transaction ends. A consumer without a
    /// window begins at the earliest record.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](messagekit::ErrorKind::NotFound) if this database has no such topic.
    /// [`ErrorKind::Conflict`](messagekit::ErrorKind::Conflict) if another transaction has them and the store cannot wait. A transient
    /// error if the database does not answer: roll back and retry.
    fn claim_partitions(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        topic: &Arc<str>,
    ) -> impl Future<Output = Result<ClaimPartitions, Error>> + Send;

    /// Writes a window that [`claim_partitions`](Self::claim_partitions) returned in the same transaction, changed since.
    ///
    /// # Errors
    /// A transient error if the database does not answer: roll back and retry.
    fn write_claim_window(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        topic: &Arc<str>,
        partition: i32,
        window: &ClaimWindow,
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns the offset and key of each record in these ranges of a partition that has a key, as the transaction sees them: also of
    /// records to which it has given their offsets itself.
    ///
    /// # Errors
    /// A transient error if the database does not answer: roll back and retry.
    fn record_keys(
        &self,
        tx: &mut Self::Tx,
        topic: &Arc<str>,
        partition: i32,
        offsets: &[Range<i64>],
    ) -> impl Future<Output = Result<Vec<(i64, Bytes)>, Error>> + Send;

    /// Returns the records of a partition in a range of offsets, in order, without those that the log no longer has: no more once their
    /// [size](messagekit::Message::size) is `max_bytes`, and at least one if there is one.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn read_claimed(
        &self,
        topic: &Arc<str>,
        partition: i32,
        offsets: Range<i64>,
        max_bytes: usize,
    ) -> impl Future<Output = Result<Vec<Record>, Error>> + Send;

    /// Leases the failed message of a consumer that is due longest, as [`Retries::lease`](messagekit::adapter::Retries::lease) does, if its record is in this topic, and in this
    /// partition if one is given.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn lease_failed(
        &self,
        consumer: &str,
        topic: &Arc<str>,
        partition: Option<i32>,
        lease: Duration,
    ) -> impl Future<Output = Result<Option<LeasedMessage>, Error>> + Send;

    /// Returns a failed message that is leased, or whose lease has ended while no other call has leased it since.
    ///
    /// # Errors
    /// A transient error if the database does not answer: roll back and retry.
    fn leased_failed(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        of: &LeaseOf,
    ) -> impl Future<Output = Result<Option<LeasedMessage>, Error>> + Send;

    /// Returns where the calls of this process wait for each other, or `None` if each call is to have a transaction of its own.
    ///
    /// # Errors
    /// [`ErrorKind::WouldDeadlock`](messagekit::ErrorKind::WouldDeadlock) if the calling task holds the only possible transaction.
    fn claim_turns(&self) -> Result<Option<&ClaimTurns>, Error> {
        Ok(None)
    }

    /// Sees what [`claim_partitions`](Self::claim_partitions) returns as one moment of the database, without a lock, and does what is
    /// decided about it. A window is replaced durably, in a transaction of its own, if the one that is stored is still the one that was
    /// seen.
    ///
    /// Returns false, with nothing changed, if it takes a transaction with locks: because that was decided, the window is another one by
    /// now, the consumer is new, or events wait for their offset. A store that cannot do this always does.
    ///
    /// # Errors
    /// [`ErrorKind::OutcomeUnknown`](messagekit::ErrorKind::OutcomeUnknown) if the answer was lost. A transient error if the database does not
    /// answer: retry.
    ///
    /// # Cancel safety
    /// A dropped call has written all or nothing.
    fn replace_claim_window<'a>(
        &'a self,
        _consumer: &'a str,
        _topic: &'a Arc<str>,
        _decide: DecideWindows<'a>,
    ) -> impl Future<Output = Result<bool, Error>> + Send {
        std::future::ready(Ok(false))
    }
}
