//! How far consumers have come.

use std::future::Future;

use super::{NextOffset, Store, UnhandledType};
use crate::Error;

/// The positions of consumers, and what they have skipped on the way.
///
/// Positions reveal offsets that a broker has lost, and verify that a transaction is still open before its commit.
pub trait Positions: Store {
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

    /// Adds to the numbers of messages that the consumer has skipped, by topic and type, in a separate transaction. A database keeps
    /// [at most 1,000](super::MOST_UNHANDLED_TYPES) types of a consumer, and skips more.
    ///
    /// The default is for a store without a report on its consumers: it keeps no numbers.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry, which may count messages twice.
    fn note_unhandled(
        &self,
        _consumer: &str,
        _types: &[UnhandledType],
    ) -> impl Future<Output = Result<(), Error>> + Send {
        std::future::ready(Ok(()))
    }
}
