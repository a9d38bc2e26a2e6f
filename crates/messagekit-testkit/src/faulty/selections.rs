//! A store with one fault in selections of failed messages.

use messagekit::Error;
use messagekit::operations::{
    ActionOrder, ActionResult, ChosenMessages, FailedMessageFilter, FailedMessageState, FailedMessageVersion,
    FailedMessages, Pace, SelectionBatch, StateReason,
};

use super::Fault;
use super::store::FaultyStore;

impl FaultyStore {
    /// Returns the versions that a fault reports.
    pub(super) fn mistaken(&self, mut versions: Vec<FailedMessageVersion>) -> Vec<FailedMessageVersion> {
        let first = |id| FailedMessageVersion::new(id, 0, FailedMessageState::Dead, false);
        match self.fault {
            Some(Fault::IdsDescend) => versions.reverse(),
            Some(Fault::VersionsStandStill) => {
                versions.iter_mut().for_each(|version| *version = first(version.id));
            }
            Some(Fault::SelectionOnlyCounts) => versions.iter_mut().for_each(|version| *version = first(1)),
            _ => {}
        }
        versions
    }

    pub(super) async fn act_on_batch(
        &self,
        order: ActionOrder<'_>,
        batch: SelectionBatch<'_>,
    ) -> Result<Vec<ActionResult>, Error> {
        let every = FailedMessageFilter::default();
        match self.fault {
            Some(Fault::SelectionTakesWhatChanged) => {
                self.inner.act(order.action, &batch.ids(), order.operator).await
            }
            Some(Fault::SelectionForgetsItsFilter) => {
                let messages = ChosenMessages::Batch(SelectionBatch { filter: &every, ..batch });
                self.inner.apply(ActionOrder { messages, ..order }).await
            }
            Some(Fault::SelectionForgetsItsPace) => {
                self.inner.apply(ActionOrder { pace: Pace::default(), ..order }).await
            }
            Some(Fault::SelectionSkipsWhatMovedUp) => {
                for id in batch.ids() {
                    if self.inner.show(id).await?.reason == StateReason::KeyFreed {
                        return Ok(vec![ActionResult::Changed; batch.versions.len()]);
                    }
                }
                self.inner.apply(order).await
            }
            _ => self.inner.apply(order).await,
        }
    }
}
