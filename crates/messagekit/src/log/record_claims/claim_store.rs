//! What a database keeps of record claims.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;

use super::claim_id::ClaimHolder;
use super::window::ClaimWindow;
use crate::Error;
use crate::log::{Bounds, Record};
use crate::store::Inbox;

/// A partition with what a consumer has claimed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPartition {
    /// The partition and its offsets.
    pub bounds: Bounds,
    /// The claims.
    pub window: ClaimWindow,
    /// The consumer has no window in it yet, and this one begins at the earliest record.
    pub is_new: bool,
}

/// The partitions of a topic as the transaction of a claim sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPartitions {
    /// The time of the database.
    pub now: Timestamp,
    /// The partitions, in order.
    pub partitions: Vec<ClaimPartition>,
}

/// A database that keeps the record claims of consumers beside its own log.
///
/// The rules stand in [`ClaimWindow`], and [`RecordClaimer`](crate::log::RecordClaimer) follows them: a store only keeps a window for each consumer and
/// partition. [`ClaimWindow::next`] is the consumer's cursor in that partition, the same one that a subscriber moves.
pub trait RecordClaims: Inbox {
    /// Returns the holder that this handle of the database claims records as. It ends with its process at the latest.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    /// [`ErrorKind::InvalidConfiguration`](crate::ErrorKind::InvalidConfiguration) if the store cannot tell whether a process lives.
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
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) if this database has no such topic.
    /// [`ErrorKind::Conflict`](crate::ErrorKind::Conflict) if another transaction has them and the store cannot wait. A transient
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
    /// [size](crate::Message::size) is `max_bytes`, and at least one if there is one.
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
}
