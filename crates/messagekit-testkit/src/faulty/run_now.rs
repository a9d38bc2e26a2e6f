//! A store with one fault in retries of runs that are planned for later.

use std::time::Duration;

use messagekit::Error;
use messagekit::adapter::Retries;
use messagekit::operations::{Action, ActionResult, FailedMessageState, FailedMessages, Operator, Pace};

use super::Fault;
use super::store::FaultyStore;

impl FaultyStore {
    /// Retries failed messages with a fault. Returns `None` where the fault is another one.
    pub(super) async fn run_now_with_fault(
        &self,
        act: Action,
        ids: &[i64],
        by: &Operator,
    ) -> Result<Option<Vec<ActionResult>>, Error> {
        if act != Action::Retry || ids.len() != 1 {
            return Ok(None);
        }
        let state = self.inner.show(ids[0]).await.map(|shown| shown.state);
        match (self.fault, state) {
            (Some(Fault::ScheduledRunIsRequested), Ok(FailedMessageState::RetryScheduled)) => {
                for way in [Action::Discard, Action::Undo] {
                    self.inner.act(way, ids, by).await?;
                }
                self.inner.act(act, ids, by).await.map(Some)
            }
            (Some(Fault::RequestedRunKeepsItsTime), Ok(FailedMessageState::RetryRequested)) => {
                Ok(Some(vec![ActionResult::Done]))
            }
            _ => Ok(None),
        }
    }

    /// Retries at a pace that puts runs off, too.
    pub(super) async fn postponed(
        &self,
        ids: &[i64],
        pace: Pace,
        by: &Operator,
    ) -> Result<Vec<ActionResult>, Error> {
        let result = self.inner.act(Action::Retry, ids, by).await?;
        for id in ids {
            let consumer = self.inner.show(*id).await?.consumer.clone();
            for leased in self.inner.lease(&consumer, 1, Duration::ZERO).await? {
                self.inner.hand_back(&consumer, &leased, pace.delay(0)).await?;
            }
        }
        Ok(result)
    }
}
