//! How far consumers are with the past of their topics.

use std::future::Future;

use super::Priming;
use crate::Error;

/// The primings of consumers.
pub trait Primings<Tx: Send>: Send + Sync + 'static {
    /// Returns how far the priming of a consumer is; `None` if it was never primed.
    ///
    /// # Errors
    /// A transient error if the database does not answer: retry.
    fn priming(&self, consumer: &str) -> impl Future<Output = Result<Option<Priming>, Error>> + Send;

    /// Begins the next priming of a consumer, in the transaction that stores where it begins, and deletes the own positions of earlier
    /// ones. Returns false, and changes nothing, if the last priming is not number `after`, because another process has begun one;
    /// `after` is 0 for a consumer that was never primed.
    ///
    /// # Errors
    /// As [`write_priming`](Self::write_priming).
    fn begin_priming(
        &self,
        tx: &mut Tx,
        consumer: &str,
        after: u32,
    ) -> impl Future<Output = Result<bool, Error>> + Send;

    /// Writes how far the priming of a consumer is, in the transaction of what it has handled. A frontier never goes back, a finished
    /// priming stays finished, and a value of an earlier priming changes nothing.
    ///
    /// # Errors
    /// [`ErrorKind::Aborted`](crate::ErrorKind::Aborted) if the transaction has already ended. A transient error if the database does not
    /// answer: roll back and retry.
    fn write_priming(
        &self,
        tx: &mut Tx,
        consumer: &str,
        priming: Priming,
    ) -> impl Future<Output = Result<(), Error>> + Send;
}
