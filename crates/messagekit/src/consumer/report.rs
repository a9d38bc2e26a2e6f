//! The result of a batch run.

use std::collections::BTreeMap;
use std::time::Duration;

use super::lane_state::LaneState;
use super::steps::After;
use crate::gate::Verdict;
use crate::store::Failure;

/// The result of a batch run.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lane: LaneState,
    /// The number of finished messages from the front.
    pub(super) finished: usize,
    /// Failures that are decided and not stored yet.
    pub(super) failed: BTreeMap<usize, Failure>,
    pub(super) after: After,
    /// How long the lane waits.
    pub(super) wait: Option<Duration>,
    pub(super) verdict: Verdict,
    /// Times until the retries of this run are due.
    pub(super) due_in: Vec<Duration>,
}
