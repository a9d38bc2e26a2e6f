//! The JSON form of the consumer that carries out a retry.

use messagekit::operations::RetryRunner;
use serde::Serialize;
use utoipa::ToSchema;

/// The consumer that must run for a retry, and whether one of its processes does.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RetryRunnerView {
    /// The consumer's name; of a bookkeeper for a broker's dead letter.
    consumer: String,
    /// Whether a process of it was seen within 30 seconds.
    is_running: bool,
    /// How long ago one was seen, by database time; null if none ever was.
    last_seen_seconds: Option<u64>,
}

impl From<RetryRunner> for RetryRunnerView {
    fn from(runner: RetryRunner) -> Self {
        Self {
            is_running: runner.is_running(),
            last_seen_seconds: runner.last_seen.map(|last| last.as_secs()),
            consumer: runner.consumer,
        }
    }
}
