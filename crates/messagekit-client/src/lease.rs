//! The lease of a claim, which is extended while its records are handled.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use messagekit::ErrorKind;
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
        Self { task: tokio::spawn(extend(client, request, lease, end.clone())), end }
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

async fn extend(client: Client, request: Extend, lease: Duration, end: End) {
    let mut pause = lease / 3;
    loop {
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        match client.extend(&request).await {
            Ok(_) => {
                end.set(Some(began + lease));
                pause = lease / 3;
            }
            Err(error) if error.is_transient() => pause = AGAIN.min(lease / 3),
            Err(error) => {
                if error.kind() == ErrorKind::ClaimLost {
                    end.set(None);
                } else {
                    tracing::error!(error = %messagekit::chain(&error), topic = request.topic_id, "lease cannot be extended");
                }
                return;
            }
        }
    }
}
