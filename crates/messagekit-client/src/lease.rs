//! The lease of a claim, which is extended while its records are handled.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use messagekit::{Error, ErrorKind};
use messagekit_wire::Extend;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::Client;

/// How long to wait after an extension that was not answered.
const AGAIN: Duration = Duration::from_millis(500);

/// A lease. Its end, or `None` when the claim was lost.
#[derive(Clone)]
struct End(Arc<Mutex<Option<Instant>>>);

impl End {
    fn set(&self, end: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = end;
    }

    fn is_over(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_none_or(|end| Instant::now() >= end)
    }
}

/// Extends a lease in good time, until it is dropped. It has a task of its own, so a handler that blocks its thread keeps its records where
/// the runtime has another thread.
pub(crate) struct ExtendedLease {
    end: End,
    task: JoinHandle<()>,
}

impl ExtendedLease {
    /// Begins with a claim that was just made.
    pub(crate) fn of(client: Client, request: Extend, lease: Duration) -> Self {
        let end = End(Arc::new(Mutex::new(Some(Instant::now() + lease))));
        let extended = end.clone();
        let task = tokio::spawn(async move {
            extend(|| client.extend(&request), &request.topic_id, lease, extended).await;
        });
        Self { task, end }
    }

    /// Returns whether its records may belong to another worker by now.
    pub(crate) fn is_lost(&self) -> bool {
        self.end.is_over()
    }

    /// Notes that the claim was lost.
    pub(crate) fn lose(&self) {
        self.task.abort();
        self.end.set(None);
    }
}

impl Drop for ExtendedLease {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Asks for a longer lease in good time, again and again. A request without an answer is given up while another one still comes in time.
async fn extend<F, A>(ask: impl Fn() -> F, topic: &str, lease: Duration, end: End)
where
    F: Future<Output = Result<A, Error>>,
{
    let mut pause = lease / 3;
    loop {
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        match tokio::time::timeout(lease / 3, ask()).await {
            Ok(Ok(_)) => {
                end.set(Some(began + lease));
                pause = lease / 3;
            }
            Ok(Err(error)) if error.kind() == ErrorKind::ClaimLost => return end.set(None),
            Ok(Err(error)) if !error.is_transient() => {
                return tracing::error!(error = %messagekit::chain(&error), topic, "lease cannot be extended");
            }
            Ok(Err(_)) | Err(_) => pause = AGAIN.min(lease / 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    const LEASE: Duration = Duration::from_secs(60);

    fn begun() -> End {
        End(Arc::new(Mutex::new(Some(Instant::now() + LEASE))))
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_hangs_does_not_cost_the_lease() {
        let (end, asked) = (begun(), Arc::new(AtomicU32::new(0)));
        let ask = {
            let asked = asked.clone();
            move || {
                let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
                async move { if first { std::future::pending().await } else { Ok::<(), Error>(()) } }
            }
        };
        let extending = extend(ask, "orders", LEASE, end.clone());
        assert!(tokio::time::timeout(10 * LEASE, extending).await.is_err(), "it never ends by itself");
        assert!(!end.is_over() && asked.load(Ordering::SeqCst) > 20);
    }

    #[tokio::test(start_paused = true)]
    async fn a_lost_claim_ends_the_lease_at_once() {
        let end = begun();
        let lost = || async { Err::<(), _>(Error::new(ErrorKind::ClaimLost, "of another")) };
        extend(lost, "orders", LEASE, end.clone()).await;
        assert!(end.is_over());
    }
}
