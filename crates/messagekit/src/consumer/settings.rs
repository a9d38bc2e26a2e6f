//! What a consumer was built with.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::dedup_window::DedupWindow;
use super::{Backoff, Middleware, OnFailure, Router, Stats};
use crate::Shutdown;
use crate::store::{ClaimRequest, Failure, FailureKind, Next, ParkingLimits, ReceivedMessage, Store};
use crate::transport::BatchLimit;

/// How many runs a message may cost before it is dead.
pub(super) const ATTEMPTS: u32 = 10;
/// How many times a message may end its process before it is dead.
pub(super) const CRASHES: u32 = 5;
/// How long a handler may take.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// How long a lane waits for a message whose handler says that a dependency is unavailable.
pub(super) const UNAVAILABLE_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Longer deadlines and waits count as this, so that no sum of times overflows.
pub(super) const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);
/// Longer windows count as this.
pub(super) const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// A window must bridge the differences of clocks, and what lies in lanes.
pub(super) const SHORTEST_WINDOW: Duration = Duration::from_secs(60 * 60);
/// How many messages a lane holds before it is paused.
pub(super) const WINDOW_MESSAGES: usize = 500;
/// How many bytes a lane holds before it is paused.
pub(super) const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// How often failed messages are looked for that became due without this process knowing.
pub(crate) const RETRY_POLL: Duration = Duration::from_millis(500);
/// How long a shutdown or revoke waits for what is in work.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// How long a shutdown waits then for handlers that were cut off: notes and leases are taken back meanwhile.
pub(super) const CUT_OFF: Duration = Duration::from_secs(5);
/// How long the transaction of a handler that was cut off may take to be rolled back, behind a statement that still runs.
const ROLL_BACK: Duration = Duration::from_secs(1);

/// What decides about messages, lanes and times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) on_failure: OnFailure,
    /// A failed message that is parked is tried again by itself; without a database nothing does.
    pub(super) retries_parked: bool,
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) deadline: Duration,
    /// How long a message that says unavailable may hold its lane.
    pub(super) unavailable_limit: Duration,
    pub(super) batch: BatchLimit,
}

impl Rules {
    /// Returns how long one run of a message takes at most, with the wait for another process's claim and the commit.
    pub(super) fn longest_run(&self) -> Duration {
        self.deadline * 2 + Duration::from_secs(5)
    }

    /// Returns for how long a transaction begins another handler.
    pub(super) fn time_of_a_transaction(&self) -> Duration {
        self.batch.time.min(self.deadline)
    }

    /// Returns whether a message that says unavailable is parked after the limit.
    pub(super) fn parks(&self) -> bool {
        self.on_failure != OnFailure::Block && self.retries_parked
    }

    /// Returns whether a failed message stays in its lane.
    pub(super) fn is_tried_in_place(&self, failure: &Failure) -> bool {
        self.on_failure == OnFailure::Block || !self.retries_parked && matches!(failure.next, Next::Retry(_))
    }

    /// Returns the failure of a message that has said unavailable for too long, after so many failed runs: it costs no attempt.
    pub(super) fn unavailable(&self, error: String, failed_runs: u32) -> Failure {
        Failure {
            attempts: failed_runs,
            next: Next::Retry(self.backoff.delay(failed_runs + 1)),
            ..Failure::retryable(FailureKind::Unavailable, error)
        }
    }

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

/// Shared by the loop and the batch runs it starts.
pub(super) struct Settings<S: Store> {
    pub(super) name: Arc<str>,
    /// What this run of it notes suspects by.
    pub(super) run: Arc<str>,
    pub(super) store: S,
    pub(super) router: Router<S>,
    /// Outermost first.
    pub(super) around: Vec<Arc<dyn Middleware<S>>>,
    pub(super) rules: Rules,
    pub(super) limits: ParkingLimits,
    /// Into how many a lane of the source is divided by key.
    pub(super) key_lanes: NonZeroU32,
    /// How old a message may be.
    pub(super) window: DedupWindow,
    pub(super) stats: Stats,
    /// Cuts off every handler that still runs: the shutdown has waited long enough.
    pub(super) cut_off: Shutdown,
}

impl<S: Store> Settings<S> {
    /// Waits for a transaction, and not for long when a stop has cut its handler off: dropped, it is rolled back behind the
    /// statement that still runs, and a commit in flight ends by itself.
    pub(super) async fn unless_cut_off<T>(&self, transaction: impl Future<Output = T>) -> Option<T> {
        let given_up = async {
            self.cut_off.requested().await;
            tokio::time::sleep(ROLL_BACK).await;
        };
        tokio::select! {
            biased;
            ended = transaction => Some(ended),
            () = given_up => None,
        }
    }

    /// Returns whether a message keeps its place in the order of its key.
    fn keeps_order(&self, received: &ReceivedMessage) -> bool {
        self.rules.on_failure == OnFailure::ParkKey
            && received.message.key.is_some()
            && received.position.is_some()
    }

    /// Returns whether a message that is set aside holds its key.
    pub(super) fn parks(&self, received: &ReceivedMessage, failure: &Failure) -> bool {
        self.keeps_order(received) && !stands_alone(failure)
    }

    /// Returns whether a message that cannot be handled waits in place: a deployment may cure it, and its key keeps its order.
    pub(super) fn blocks(&self, failure: &Failure) -> bool {
        self.rules.on_failure == OnFailure::Block && !stands_alone(failure)
    }

    /// Returns the claim of a message.
    pub(super) fn claim_of(&self, received: &ReceivedMessage) -> ClaimRequest {
        ClaimRequest {
            id: received.id.clone(),
            topic: Arc::clone(&received.message.topic),
            key: received.message.key.clone().filter(|_| self.keeps_order(received)),
            generation: 0,
        }
    }
}

/// A type that is only kept has no handler whose order could matter. What is older than the window was most likely handled
/// before the others of its key, and no waiting makes it younger.
fn stands_alone(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::UnknownType | FailureKind::OutsideWindow)
}
