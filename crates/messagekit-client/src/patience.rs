//! Requests that are repeated until they are answered.

use std::future::{Future, IntoFuture};
use std::time::Duration;

use messagekit::{Backoff, Error, Shutdown};
use tokio::time::Instant;

/// Waits, and returns whether the run is to stop.
pub(crate) async fn pause_or_stop(stop: &Shutdown, pause: Duration) -> bool {
    tokio::select! {
        biased;
        () = stop.clone().into_future() => true,
        () = tokio::time::sleep(pause) => stop.is_requested(),
    }
}

/// How long an outage is waited for.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Patience {
    pub(crate) give_up_after: Option<Duration>,
}

impl Patience {
    /// Repeats a request until it is answered. Returns `None` if it was not, and the run was to stop before its last try.
    ///
    /// # Errors
    /// What is not transient, at once. What is, when it has lasted for too long.
    pub(crate) async fn patiently<T, F>(
        self,
        stop: &Shutdown,
        mut call: impl FnMut() -> F,
    ) -> Result<Option<T>, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let away = Backoff::new(Duration::from_millis(200), 2.0, Duration::from_secs(10));
        let (mut failures, mut since) = (0_u32, None);
        loop {
            let is_last = stop.is_requested();
            let error = match call().await {
                Ok(answer) => {
                    if failures > 0 {
                        tracing::info!("server answers again");
                    }
                    return Ok(Some(answer));
                }
                Err(error) if !error.is_transient() => return Err(error),
                Err(_) if is_last => return Ok(None),
                Err(error) => error,
            };
            let since = *since.get_or_insert_with(Instant::now);
            if self.give_up_after.is_some_and(|limit| since.elapsed() >= limit) {
                return Err(error);
            }
            failures = failures.saturating_add(1);
            let pause = away.delay(failures);
            tracing::warn!(error = %messagekit::chain(&error), ?pause, "server does not answer");
            pause_or_stop(stop, pause).await;
        }
    }
}
