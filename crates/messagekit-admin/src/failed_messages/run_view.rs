//! The JSON form of a failed run.

use jiff::Timestamp;
use messagekit::operations::FailedRun;
use serde::Serialize;
use utoipa::ToSchema;

/// A run of a failed message that failed, or ended without a result.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedRunView {
    /// When it failed, by database time; when it began, if it ended without a result.
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
    /// Its number, as the attempts were counted then.
    attempt: u32,
    /// The error with its causes.
    error: String,
    /// The process that ran it: its host and its number there. Null where an earlier program did.
    instance: Option<String>,
}

impl From<FailedRun> for FailedRunView {
    fn from(run: FailedRun) -> Self {
        Self { at: run.at, attempt: run.attempt, error: run.error, instance: run.instance }
    }
}
