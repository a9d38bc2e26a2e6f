//! A store with one fault in its cleanup.

use std::time::Duration;

use jiff::Timestamp;
use messagekit::Error;
use messagekit::adapter::{BoxFuture, Markers};
use messagekit::cleanup::{Cleanup, CleanupRequest, CleanupStep};

use super::Fault;
use super::store::FaultyStore;

impl FaultyStore {
    pub(super) async fn note(
        &self,
        consumer: &str,
        window: Option<Duration>,
    ) -> Result<Option<Timestamp>, Error> {
        let since = self.inner.note_window(consumer, window).await?;
        match self.fault {
            Some(Fault::RemovesUntold) => Ok(None),
            Some(Fault::TellsEverybody) => {
                let mut notes = self.notes();
                notes.since = notes.since.max(since);
                Ok(notes.since)
            }
            Some(Fault::TellsTheLastRemoval) => {
                let told_before = since.and_then(|since| self.notes().since.replace(since));
                Ok(told_before.map(|_| Timestamp::MIN).or(since))
            }
            _ => Ok(since),
        }
    }
}

impl Cleanup for FaultyStore {
    fn remove_step<'a>(&'a self, request: CleanupRequest<'a>) -> BoxFuture<'a, Result<CleanupStep, Error>> {
        let is_trial = request.is_trial && !self.is(Fault::TrialsRemove);
        let is_trial = is_trial || self.is(Fault::CleansNothing);
        self.inner.remove_step(CleanupRequest { is_trial, ..request })
    }
}
