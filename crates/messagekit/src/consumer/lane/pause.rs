//! How a batch run ends for its lane, and why a lane waits.

use std::time::Duration;

use crate::Error;
use crate::store::{Failure, FailureKind};

/// How a batch run ends for its lane.
#[derive(Debug)]
pub(in crate::consumer) enum RunEnd {
    Continue,
    Pause(Pause),
    /// Another process has the lane's cursor.
    Fenced,
    /// An error of the store that waiting does not cure.
    Fatal(Error),
}

impl RunEnd {
    /// Returns the kind of the failed run for which the lane waits.
    pub(in crate::consumer) fn failed_run(&self) -> Option<FailureKind> {
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
pub(in crate::consumer) enum Pause {
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
