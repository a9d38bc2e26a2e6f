//! What the state machine and its driver say to each other.

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use super::ConsumerStats;
use super::fault::Fault;
use super::lane_state::LaneState;
use crate::Error;
use crate::gate::Verdict;
use crate::store::Failure;

/// What is to be done next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Record an in-flight attempt. Answered by [`Answer::Begun`].
    Begin(Attempt),
    /// Claim and run messages in one transaction.
    Run(Plan),
    /// Withdraw the in-flight attempt.
    Withdraw(Attempt),
    /// Clear the attempts of the lane's batches.
    Clear,
    /// Stop: the batch run is over.
    Stop,
}

/// What an in-flight attempt is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    Batch,
    Message(usize),
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) range: Range<usize>,
    pub(super) runs: Runs,
    /// The message whose attempts are cleared when the transaction finishes it.
    pub(super) clears: Option<usize>,
}

/// Whose handlers a transaction may run. It ends before the first fresh message whose handler it may not run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Runs {
    All,
    Only(usize),
    Nothing,
}

impl Runs {
    pub(super) fn may_run(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == index,
            Self::Nothing => false,
        }
    }
}

/// What a step answered.
#[derive(Debug)]
pub(super) enum Answer {
    /// The attempt stands beside so many of other runs.
    Begun {
        others: u32,
    },
    /// The transaction was committed as far as `through`, after so long inside handlers.
    Committed {
        through: usize,
        done: ConsumerStats,
        took: Duration,
    },
    /// Nothing was kept.
    Failed {
        index: usize,
        fault: Fault,
    },
    /// Nothing was kept: there is no room to park the message, which has failed or stands behind one that has.
    Full {
        index: usize,
        failure: Option<Failure>,
    },
    /// The attempt is withdrawn, or stays.
    Withdrawn(bool),
    Cleared,
    /// The lane cannot go on.
    Ended(After),
}

/// What the lane does after the batch run.
#[derive(Debug)]
pub(super) enum After {
    Continue,
    Pause(Pause),
    /// Another process has the lane's cursor.
    Fenced,
    /// The store answered what no waiting cures.
    Fatal(Error),
}

/// Why a lane waits.
#[derive(Debug)]
pub(super) enum Pause {
    /// The store is away.
    Outage(String),
    /// The first message says that a dependency is unavailable.
    Unavailable(String),
    /// A lock of another transaction.
    Conflict(String),
    /// A process died in a batch of this lane: its messages run one by one.
    CrashFound,
    /// Other members may still run copies of the message.
    Watch { index: usize, wait: Duration, given: Duration },
    /// The first message has failed and is tried in place.
    Blocked(Failure),
    /// There is no room to park the first message: a culprit with its failure, or one behind another, which has not run. Whether
    /// this is the first time in a row.
    Full { index: usize, failure: Option<Failure>, is_first: bool },
}

/// How a batch run ended.
#[derive(Debug)]
pub(super) struct Report {
    pub(super) lane: LaneState,
    /// How many messages from the front are finished.
    pub(super) finished: usize,
    /// Failures that are decided and not kept yet.
    pub(super) failed: BTreeMap<usize, Failure>,
    pub(super) after: After,
    /// How long the lane waits.
    pub(super) wait: Option<Duration>,
    pub(super) verdict: Verdict,
    /// When the retries of this run are due.
    pub(super) due_in: Vec<Duration>,
}
