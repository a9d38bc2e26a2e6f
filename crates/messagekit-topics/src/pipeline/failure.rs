//! What an arm of a pipeline answers when it fails.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use messagekit::adapter::{Failure, FailureKind, Next};
use messagekit::chain;

/// What happens to the other arms of a record when one fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Strategy {
    /// All arms of a record or none: the first failure ends the run.
    #[default]
    Strict,
    /// The arms that succeed are kept, a record that a target has already counts as success, and the run goes on. Its failures are the
    /// error at its end, and the next run calls only the arms that failed.
    BestEffort,
}

/// A record that an arm failed on.
#[derive(Clone)]
pub struct ArmFailure {
    /// The id of the record.
    pub record: i64,
    /// The topic that it was read from.
    pub source: Arc<str>,
    /// The topic that the arm leads to, if any.
    pub target: Option<Arc<str>>,
    /// What the function returned, or why its output was refused.
    pub error: Arc<dyn StdError + Send + Sync>,
    pub(crate) kind: FailureKind,
}

impl ArmFailure {
    /// Returns the failure to store, after this many runs of the record.
    pub(crate) fn stored(failures: &[Self], runs: u32, attempts: u32) -> Failure {
        let kind = failures.first().map_or(FailureKind::Failed, |failure| failure.kind);
        let texts: Vec<String> = failures.iter().map(ToString::to_string).collect();
        let failure = Failure::retryable(kind, texts.join("; "));
        let next = if runs < attempts { failure.next } else { Next::Dead };
        Failure { attempts: runs, next, ..failure }
    }
}

impl fmt::Display for ArmFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} record {}", self.source, self.record)?;
        if let Some(target) = &self.target {
            write!(f, " into {target}")?;
        }
        write!(f, ": {}", chain(&*self.error))
    }
}

impl fmt::Debug for ArmFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// An error that several hold.
pub(crate) struct Shown(pub(crate) Arc<dyn StdError + Send + Sync>);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl StdError for Shown {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0.source()
    }
}
