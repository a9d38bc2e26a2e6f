//! The steps of the state machine, and the results that its driver returns.

use std::ops::Range;
use std::time::Duration;

use crate::consumer::ConsumerStats;
use crate::consumer::fault::Fault;
use crate::consumer::lane::RunEnd;
use crate::store::Failure;

/// The next step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Record an in-flight attempt. Its result is [`StepResult::Begun`].
    Begin(AttemptSubject),
    /// Claim and run messages in one transaction.
    RunTransaction(Plan),
    /// Withdraw the in-flight attempt.
    Withdraw(AttemptSubject),
    /// Clear the attempts of the lane's batches.
    Clear,
    /// End the batch run.
    Stop,
}

/// The subject of an in-flight attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AttemptSubject {
    Batch,
    Message(usize),
}

/// One transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Plan {
    pub(super) range: Range<usize>,
    pub(super) handlers: AllowedHandlers,
    /// The message whose attempts are cleared when the transaction finishes it.
    pub(super) clears: Option<usize>,
}

/// The handlers that a transaction may run. It ends before the first fresh message with another handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum AllowedHandlers {
    All,
    Only(usize),
    Nothing,
}

impl AllowedHandlers {
    pub(super) fn may_run(self, index: usize) -> bool {
        match self {
            Self::All => true,
            Self::Only(only) => only == index,
            Self::Nothing => false,
        }
    }
}

/// The result of a step.
#[derive(Debug)]
pub(super) enum StepResult {
    /// The attempt is recorded beside this many of other runs.
    Begun {
        others: u32,
    },
    /// The transaction was committed up to `through`, after the time `took` inside handlers.
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
    /// Nothing was kept: there is no room to park the message, which has failed or is behind one that has.
    Full {
        index: usize,
        failure: Option<Failure>,
    },
    /// The attempt is withdrawn, or stays.
    Withdrawn(bool),
    Cleared,
    /// The lane cannot continue.
    LaneStops(RunEnd),
}
