//! What a consumer was built with.

use std::sync::Arc;
use std::time::Duration;

use super::{Backoff, Middleware, OnFailure, Router, Stats};
use crate::Shutdown;
use crate::store::{Failure, Next, Store};
use crate::transport::BatchLimit;

/// How many runs a message may cost before it is dead.
pub(super) const ATTEMPTS: u32 = 10;
/// How many times a message may end its process before it is dead.
pub(super) const KILLS: u32 = 5;
/// How long a handler may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// Longer deadlines and waits count as this, so that no sum of times overflows.
pub(super) const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// How many messages a lane holds before it is paused.
pub(super) const WINDOW_MESSAGES: usize = 500;
/// How many bytes a lane holds before it is paused.
pub(super) const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// How often letters are looked for that became due without this process knowing.
pub(crate) const RETRY_POLL: Duration = Duration::from_millis(500);
/// How long a shutdown or revoke waits for what is in work.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// How long a shutdown waits then for handlers that were cut off: notes and leases are taken back meanwhile.
pub(super) const CUT_OFF: Duration = Duration::from_secs(5);

/// Shared by the loop and the turns it starts.
pub(super) struct Settings<S: Store> {
    pub(super) name: Arc<str>,
    pub(super) store: S,
    pub(super) router: Router<S>,
    /// Outermost first.
    pub(super) around: Vec<Arc<dyn Middleware<S>>>,
    pub(super) on_failure: OnFailure,
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) deadline: Duration,
    pub(super) batch: BatchLimit,
    pub(super) stats: Stats,
    /// Cuts off every handler that still runs: the shutdown has waited long enough.
    pub(super) cut_off: Shutdown,
}

impl<S: Store> Settings<S> {
    /// Decides what happens to a failure after its run number `attempt`.
    pub(super) fn decide(&self, mut failure: Failure, attempt: u32) -> Failure {
        failure.attempts = attempt;
        if let Next::Retry(_) = failure.next {
            failure.next =
                if attempt >= self.attempts { Next::Dead } else { Next::Retry(self.backoff.delay(attempt)) };
        }
        failure
    }
}
