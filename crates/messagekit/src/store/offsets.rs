//! The positions of a consumer, stored beside its effects.

use std::future::Future;
use std::sync::Arc;

use super::Store;
use crate::Error;

/// The position behind the last finished record of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextOffset {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The key lane inside the partition; 0 if the partition is not divided. Each key lane has its own row, which avoids lock
    /// contention.
    pub key_lane: u32,
    /// The next offset to read.
    pub next: i64,
}

/// Stores positions. They reveal offsets that a broker has lost, and they verify that a transaction is still open before its
/// commit.
#[diagnostic::on_unimplemented(message = "`{Self}` does not remember offsets")]
pub trait Offsets: Store {
    /// Records positions. It must be the **last** statement of a transaction: if an earlier statement has silently ended the
    /// transaction, this one fails.
    ///
    /// A position only increases. If the consumer reads a log of the same database, this call also moves its fenced cursor. For
    /// topics of other brokers it only records the position.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) if the transaction has already ended.
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) if another process has moved the cursor; a retry does not help.
    fn advance(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        positions: &[NextOffset],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns the recorded positions of `consumer` for a topic.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn next_of(
        &self,
        consumer: &str,
        topic: &str,
    ) -> impl Future<Output = Result<Vec<NextOffset>, Error>> + Send;
}
