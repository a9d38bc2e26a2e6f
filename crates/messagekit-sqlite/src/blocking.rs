//! Work that blocks its thread.

use std::panic::resume_unwind;

use messagekit::{Error, ErrorKind};
use tokio::task;

/// Runs work on a thread of its own. A panic of it goes on in the caller. A dropped call does not stop it.
pub(crate) async fn blocking<R: Send + 'static>(
    work: impl FnOnce() -> Result<R, Error> + Send + 'static,
) -> Result<R, Error> {
    match task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Err(Error::new(ErrorKind::Closed, "runtime is shutting down")),
        },
    }
}
