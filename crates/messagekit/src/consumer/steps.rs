//! The steps of the state machine and the answers of its driver.

use std::ops::Range;
use std::time::Duration;

use super::ConsumerStats;
use super::fault::Fault;
use crate::Error;
use crate::store::{Failure, FailureKind};

/// The next step.
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
    /// End the batch run.
    Stop,
}

/// The subject of an in-flight attempt.
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

/// The handlers that a transaction may run. It ends before the first fresh message with another handler.
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

/// The result of a step.
#[derive(Debug)]
pub(super) enum Answer {
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
    Ended(After),
}

/// The action of the lane after the batch run.
#[derive(Debug)]
pub(super) enum After {
    Continue,
    Pause(Pause),
    /// Another process has the lane's cursor.
    Fenced,
    /// An error of the store that waiting does not cure.
    Fatal(Error),
}

impl After {
    /// Returns the kind of the failed run for which the lane waits.
    pub(super) fn failed_run(&self) -> Option<FailureKind> {
        match self {
            Self::Pause(Pause::Unavailable(_)) => Some(FailureKind::Unavailable),
            Self::Pause(Pause::Blocked(failure) | Pause::Full { failure: Some(failure), .. }) => {
                Some(failure.kind)
            }
            _ => None,
        }
    }
}

/// The reason why a lane waits.
#[derive(Debug)]
pub(super) enum Pause {
    /// The store does not answer.
    Outage(String),
    /// The handler of the first message reports an unavailable dependency.
    Unavailable(String),
    /// A lock of another transaction.
    Conflict(String),
    /// A process crashed in a batch of this lane: its messages run one by one.
    CrashFound,
    /// Other members may still run copies of the message.
    Watch { index: usize, wait: Duration, given: Duration },
    /// The first message has failed and is retried in place.
    Blocked(Failure),
    /// There is no room to park the first message: a culprit with its failure, or a message behind another one, which has not
    /// run. `is_first` marks the first of several consecutive times.
    Full { index: usize, failure: Option<Failure>, is_first: bool },
}
