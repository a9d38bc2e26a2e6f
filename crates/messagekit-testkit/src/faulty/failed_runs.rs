//! A store with one fault in the failed runs that it keeps.

use messagekit::operations::{FailedMessage, FailedRun};

use super::Fault;
use super::store::FaultyStore;

impl FaultyStore {
    /// Changes the failed runs of a failed message that is shown.
    pub(super) fn mistake_runs(&self, shown: &mut FailedMessage) {
        let (at, runs) = (shown.set_aside_at, &mut shown.failed_runs);
        let invented = FailedRun { at, attempt: 1, error: "no".to_owned(), instance: None };
        match self.fault {
            Some(Fault::ForgetsFailedRuns) => runs.truncate(1),
            Some(Fault::KeepsTheFirstRuns) if runs.len() == FailedRun::KEPT => runs.insert(0, invented),
            Some(Fault::ForgetsRunsWithoutAResult) => {
                runs.retain(|run| run.error != FailedRun::WITHOUT_RESULT);
            }
            Some(Fault::WaitsCountAsFailedRuns) if runs.is_empty() => runs.push(invented),
            Some(Fault::FailedRunsOutliveTheirMessage) => runs.insert(0, invented),
            _ => {}
        }
    }
}
