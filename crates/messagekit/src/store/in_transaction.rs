//! The work of a caller in one transaction.

use super::Store;
use super::store::classify;
use crate::{Error, ErrorKind, HandlerError, HandlerErrorKind};

/// Runs `work` in a transaction and commits it. If `work` fails, nothing of it remains. Stores have it as their `transaction`.
///
/// # Errors
/// The error of `work`, or that of [`begin`](Store::begin) or [`commit`](Store::commit). An error of another crate is found by
/// [`Error::cause`], and has the kind that the store gives it. What a constructor
/// of [`HandlerError`] says is not kept, but for `unavailable`: [`ErrorKind::Unavailable`].
///
/// # Cancel safety
/// A drop rolls back what is not committed. A drop during the commit leaves its outcome unknown.
pub async fn in_transaction<S: Store, R, F>(store: &S, work: F) -> Result<R, Error>
where
    F: AsyncFnOnce(&mut S::Tx) -> Result<R, HandlerError>,
{
    let mut tx = store.begin().await?;
    match work(&mut tx).await {
        Ok(done) => {
            store.commit(tx).await?;
            Ok(done)
        }
        Err(error) => {
            // The error of the work says more than one of its end; a transaction that is dropped is rolled back too.
            let _ = store.rollback(tx).await;
            Err(error_of::<S>(error))
        }
    }
}

fn error_of<S: Store>(error: HandlerError) -> Error {
    let kind = match error.kind() {
        HandlerErrorKind::Unavailable => Some(ErrorKind::Unavailable),
        _ => classify::<S>(error.source.as_ref()),
    };
    match error.source.downcast::<Error>() {
        Ok(own) => *own,
        Err(source) => Error::new(kind.unwrap_or(ErrorKind::Other), source.to_string()).caused_by(source),
    }
}
