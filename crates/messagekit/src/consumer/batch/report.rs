//! What the state machine reports of a batch run.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::consumer::ConsumerStats;
use crate::consumer::lane::{LaneState, RunEnd};
use crate::store::{Failure, FailureKind};

/// What the state machine reports at the end of a batch run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lane: LaneState,
    /// The number of finished messages from the front.
    pub(super) finished: usize,
    /// Failures that are decided and not stored yet.
    pub(super) failed: BTreeMap<usize, Failure>,
    pub(super) end: RunEnd,
    /// How long the lane waits.
    pub(super) wait: Option<Duration>,
    /// What was committed.
    pub(super) done: ConsumerStats,
    /// The kinds of the failed runs behind the last handled message, in order.
    pub(super) failed_runs: Vec<FailureKind>,
    /// Times until the retries of this run are due.
    pub(super) due_in: Vec<Duration>,
}
