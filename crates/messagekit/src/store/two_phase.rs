//! The second phase of a handler: the effects of what it worked out before its transaction.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::{BoxFuture, End, Store, TransactError};
use crate::consumer::Backoff;
use crate::{Error, ErrorKind};

/// Applies what a handler has prepared outside of any transaction, in one transaction, until a commit keeps it.
///
/// A transaction that was rolled back by a conflict or an outage is repeated with the same `prepared`: what went before is not done
/// again. The repetitions end after `patience`. `effects` writes a marker and finds that of an earlier call: the outcome of a commit
/// may be unknown. What it returns as an error rolls back.
///
/// # Errors
/// The last transient error after `patience`, and every other error of `effects` at once. [`ErrorKind::TransactionTimeout`] is not
/// repeated either: do less in one transaction. Nothing was kept then, except possibly after
/// [`ErrorKind::OutcomeUnknown`].
///
/// # Cancel safety
/// As [`Store::transact`]: a dropped call may have committed or not.
pub async fn apply_prepared<S: Store, P: Send + Sync + 'static, R: Send + 'static>(
    store: &S,
    prepared: &Arc<P>,
    patience: Duration,
    effects: impl for<'a> Fn(&'a S, &'a mut S::Tx, &'a P) -> BoxFuture<'a, Result<End<R>, Error>>
    + Clone
    + Send
    + Sync
    + 'static,
) -> Result<R, Error> {
    let begun = Instant::now();
    let mut failures = 0;
    loop {
        let (own, effects, prepared) = (store.clone(), effects.clone(), prepared.clone());
        let work = Box::new(move |mut tx| -> BoxFuture<'static, _> {
            Box::pin(async move {
                let end = match effects(&own, &mut tx, &prepared).await {
                    Ok(End::Commit(result)) => End::Commit(Ok(result)),
                    Ok(End::Rollback(result)) => End::Rollback(Ok(result)),
                    Err(error) => End::Rollback(Err(error)),
                };
                (tx, end)
            })
        });
        let error = match store.transact(work).await {
            Ok(Ok(result)) => return Ok(result),
            Ok(Err(error)) => error,
            Err(
                TransactError::Begin(error) | TransactError::Commit(error) | TransactError::Unknown(error),
            ) => error,
        };
        failures += 1;
        // The same effects would hold the lock for as long again.
        let is_long = error.kind() == ErrorKind::TransactionTimeout;
        let again = !is_long && (error.is_transient() || error.kind() == ErrorKind::OutcomeUnknown);
        let wait = match error.kind() {
            ErrorKind::Conflict => Backoff::after_conflict(),
            _ => Backoff::OUTAGE.delay(failures),
        };
        if !again || begun.elapsed() + wait > patience {
            return Err(error);
        }
        sleep(wait).await;
    }
}
