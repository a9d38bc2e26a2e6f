//! The settings of a consumer.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use super::backoff::A_YEAR;
use super::observers::Observers;
use super::priming::Frontiers;
use super::watch::{DedupWindow, UnhandledTypes};
use super::{Backoff, OnFailure, Stats};
use crate::Shutdown;
use crate::handler::{ClassifyError, Middleware, Router, Task};
use crate::store::{ClaimRequest, Failure, FailureKind, Next, ParkingLimits, ReceivedMessage, Store};
use crate::transport::BatchLimit;

/// Number of runs after which a message is dead.
pub(super) const ATTEMPTS: u32 = 10;
/// Number of crashes after which a message is dead.
pub(super) const CRASHES: u32 = 5;
/// Number of calls of a batch that run at once.
pub(super) const CALLS: u32 = 8;
/// Deadline of a handler.
pub(super) const DEADLINE: Duration = Duration::from_secs(30);
/// How long a lane waits for a message whose handler reports an unavailable dependency.
pub(super) const UNAVAILABLE_LIMIT: Duration = Duration::from_secs(10 * 60);
/// Maximum of dedup windows.
pub(super) const A_CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);
/// Minimum of dedup windows: they must cover clock differences and the time that messages wait in lanes.
pub(super) const SHORTEST_WINDOW: Duration = Duration::from_secs(60 * 60);
/// Number of messages in a lane at which it is paused.
pub(super) const WINDOW_MESSAGES: usize = 500;
/// Number of bytes in a lane at which it is paused.
pub(super) const WINDOW_BYTES: usize = 8 * 1024 * 1024;
/// Interval of polls for failed messages whose due time this process does not know: 500 ms.
pub const RETRY_POLL: Duration = Duration::from_millis(500);
/// How long a shutdown or revocation waits for work in progress.
pub(super) const DRAIN: Duration = Duration::from_secs(30);
/// How long a shutdown then waits for cancelled handlers, while their attempts and leases are withdrawn.
pub(super) const CUT_OFF: Duration = Duration::from_secs(5);
/// Maximum time to roll back the transaction of a cancelled handler, behind a statement that still runs.
const ROLL_BACK: Duration = Duration::from_secs(1);

/// The rules for messages, lanes and times.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) on_failure: OnFailure,
    /// The store keeps failed messages. If false, every failure waits in its lane.
    pub(super) sets_aside: bool,
    /// Parked failed messages are retried automatically.
    pub(super) runs_again: bool,
    pub(super) attempts: u32,
    pub(super) backoff: Backoff,
    pub(super) deadline: Duration,
    /// How long a message with an unavailable dependency may block its lane.
    pub(super) unavailable_limit: Duration,
    pub(super) batch: BatchLimit,
    /// How many calls of a batch run at once; `None` without handlers in two phases.
    pub(super) calls: Option<NonZeroU32>,
}

impl Rules {
    /// Returns the maximum time of one run of a message, including its call, the wait for another process's claim and the commit.
    pub(super) fn longest_run(&self) -> Duration {
        // The effects of a retry are repeated for another deadline.
        let call = if self.calls.is_some() { self.deadline * 2 } else { Duration::ZERO };
        call + self.deadline * 2 + Duration::from_secs(5)
    }

    /// Returns how long a transaction may start further handlers.
    pub(super) fn time_of_a_transaction(&self) -> Duration {
        self.batch.time.min(self.deadline)
    }

    /// Returns whether a message with an unavailable dependency is parked after the limit.
    pub(super) fn parks(&self) -> bool {
        self.on_failure != OnFailure::Block && self.runs_again
    }

    /// Returns whether a failed message stays in its lane.
    pub(super) fn is_tried_in_place(&self, failure: &Failure) -> bool {
        self.on_failure == OnFailure::Block || !self.runs_again && matches!(failure.next, Next::Retry(_))
    }

    /// Returns the failure of a message whose dependency was unavailable for too long, after `failed_runs` failed runs: it
    /// costs no attempt.
    pub(super) fn unavailable(&self, error: String, failed_runs: u32) -> Failure {
        Failure {
            attempts: failed_runs,
            next: Next::Retry(self.backoff.delay(failed_runs + 1)),
            ..Failure::retryable(FailureKind::Unavailable, error)
        }
    }

    /// Decides on a failure after its run number `attempt`.
    pub(super) fn decide(&self, mut failure: Failure, attempt: u32) -> Failure {
        failure.attempts = attempt;
        if let Next::Retry(_) = failure.next {
            let wait = failure.asked.map_or_else(|| self.backoff.delay(attempt), |asked| asked.min(A_YEAR));
            failure.next = if attempt >= self.attempts { Next::Dead } else { Next::Retry(wait) };
        }
        failure
    }
}

/// Shared by the loop and its batch runs.
pub(super) struct Settings<S: Store> {
    pub(super) name: Arc<str>,
    /// The kind of broker as spans name it.
    pub(super) system: &'static str,
    /// The name of this run in in-flight attempts.
    pub(super) run: Arc<str>,
    pub(super) store: S,
    pub(super) router: Arc<Router<S>>,
    /// Outermost first.
    pub(super) around: Vec<Arc<dyn Middleware<S>>>,
    pub(super) rules: Rules,
    pub(super) limits: ParkingLimits,
    /// Number of key lanes into which a lane of the source is divided.
    pub(super) key_lanes: NonZeroU32,
    pub(super) unhandled_types: UnhandledTypes,
    /// The class of errors that neither the handler nor the store has classified.
    pub(super) classify: Option<ClassifyError>,
    pub(super) observers: Observers,
    /// The maximum age of a message.
    pub(super) window: DedupWindow,
    pub(super) stats: Stats,
    /// The times of the messages in work, if they are the past of a priming.
    pub(super) frontiers: Option<Frontiers>,
    /// Cancels all handlers that still run, after the shutdown has waited long enough.
    pub(super) cut_off: Shutdown,
}

impl<S: Store> Settings<S> {
    /// Returns the settings under which the past is handled: in one order, whatever its age.
    pub(super) fn for_priming(&self, frontiers: Frontiers) -> Self {
        Self {
            name: Arc::clone(&self.name),
            system: self.system,
            run: Arc::clone(&self.run),
            store: self.store.clone(),
            router: Arc::clone(&self.router),
            around: self.around.clone(),
            rules: self.rules,
            limits: self.limits,
            key_lanes: NonZeroU32::MIN,
            unhandled_types: UnhandledTypes::default(),
            classify: self.classify.clone(),
            observers: self.observers.clone(),
            window: self.window.for_priming(),
            stats: self.stats.clone(),
            frontiers: Some(frontiers),
            cut_off: Shutdown::new(),
        }
    }

    /// Waits for a transaction, but only briefly after a stop has cancelled its handler. A dropped transaction rolls back
    /// behind the statement that still runs, and a commit in flight completes.
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

    /// Returns whether a message keeps its position in the order of its key.
    fn keeps_order(&self, received: &ReceivedMessage) -> bool {
        self.rules.on_failure == OnFailure::ParkKey
            && received.message.key.is_some()
            && received.position.is_some()
    }

    /// Returns whether a message that is set aside blocks its key.
    pub(super) fn parks(&self, received: &ReceivedMessage, failure: &Failure) -> bool {
        self.keeps_order(received) && !stands_alone(failure)
    }

    /// Returns the task of a message that cannot be handled. It may wait in place: a deployment may cure it, and its key keeps
    /// its order.
    pub(super) fn task_of_failed(&self, failure: Failure) -> Task<S> {
        let waits = self.rules.on_failure == OnFailure::Block;
        if waits && !(self.rules.sets_aside && stands_alone(&failure)) {
            Task::Block(failure)
        } else {
            Task::SetAside(failure)
        }
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

/// An unknown type has no handler whose order could matter. A message older than the dedup window was most likely handled
/// before the others of its key, and waiting does not make it younger.
fn stands_alone(failure: &Failure) -> bool {
    matches!(failure.kind, FailureKind::UnknownType | FailureKind::OutsideWindow)
}
