//! How far a consumer has come, remembered beside its effects.

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
    /// The key lane inside the partition, 0 where there is one: lanes must not queue for one row.
    pub key_lane: u32,
    /// The offset to read next.
    pub next: i64,
}

/// The memory behind "a lost offset is loud", and a free check of the commit.
#[diagnostic::on_unimplemented(message = "`{Self}` does not remember offsets")]
pub trait Offsets: Store {
    /// Notes positions as the **last** statement of a transaction: when an earlier statement has silently ended the
    /// transaction, this one fails.
    ///
    /// A position only grows. Where the consumer reads a log of the same database, its cursor moves here too, fenced;
    /// topics of other brokers are only noted.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) when the transaction had ended;
    /// [`ErrorKind::Fenced`](crate::ErrorKind::Fenced) when another process has moved the cursor.
    fn advance(
        &self,
        tx: &mut Self::Tx,
        consumer: &str,
        positions: &[NextOffset],
    ) -> impl Future<Output = Result<(), Error>> + Send;

    /// Returns the positions that `consumer` has noted for a topic.
    ///
    /// # Errors
    /// Transient if the database does not answer.
    fn next_of(
        &self,
        consumer: &str,
        topic: &str,
    ) -> impl Future<Output = Result<Vec<NextOffset>, Error>> + Send;
}
