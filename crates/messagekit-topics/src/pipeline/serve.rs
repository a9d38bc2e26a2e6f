//! When a pipeline that runs again and again may run next.

use messagekit::Backoff;
use messagekit_topic_store::CommitWatch;
use messagekit_topic_store::PipelineStore;
use tokio::time::sleep;

use super::run::Run;
use crate::Error;

/// The pauses between runs.
pub(crate) struct Pauses {
    watch: Box<dyn CommitWatch>,
    failures: u32,
}

impl Pauses {
    /// Make it before the first run: a commit in between is not missed.
    pub(crate) fn over<S: PipelineStore>(store: &S) -> Result<Self, Error> {
        Ok(Self { watch: store.watch_commits()?, failures: 0 })
    }

    /// Waits for a commit, or for some time after a run that failed.
    ///
    /// # Errors
    /// The error of a run that no repetition cures.
    pub(crate) async fn after(&mut self, run: Result<Run, Error>) -> Result<(), Error> {
        match run {
            Ok(_) => {
                self.failures = 0;
                Ok(self.watch.changed().await?)
            }
            Err(error) if error.is_transient() || !error.failures().is_empty() => {
                self.failures += 1;
                tracing::warn!(%error, failures = self.failures, "run of a pipeline failed");
                sleep(Backoff::OUTAGE.delay(self.failures)).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }
}
