//! A store with one fault in its history of events.

use messagekit::adapter::{BoxFuture, EventLinks};
use messagekit::operations::{
    EventFailure, EventHistory, EventRecord, LinkedEvent, Replays, UnpublishedEvent,
};
use messagekit::{Error, MessageId};

use super::Fault;
use super::store::FaultyStore;

impl EventHistory for FaultyStore {
    fn event_record<'a>(&'a self, id: &'a MessageId) -> BoxFuture<'a, Result<EventRecord, Error>> {
        Box::pin(async move {
            let mut record = self.inner.event_record(id).await?;
            match self.fault {
                Some(Fault::RecordForgetsLinks) => {
                    record.event.iter_mut().for_each(|event| event.links = EventLinks::default());
                }
                Some(Fault::UnknownEventFailed) if record.is_empty() => record.failures.push(EventFailure {
                    consumer: "queue:orders".to_owned(),
                    reason: "rejected".to_owned(),
                    at: jiff::Timestamp::UNIX_EPOCH,
                }),
                Some(Fault::RecordForgetsOutcomes) => record.outcomes.clear(),
                Some(Fault::RecordForgetsActions) => record.actions.clear(),
                Some(Fault::RecordForgetsReplays) => record.replays.clear(),
                Some(Fault::RecordForgetsRepublications) => record.republications.clear(),
                Some(Fault::RecordTellsOfEveryReplay) => {
                    record.replays = self.inner.replays(None, 100).await?;
                }
                _ => {}
            }
            Ok(record)
        })
    }

    fn linked_events<'a>(
        &'a self,
        ids: &'a [MessageId],
        causes: &'a [MessageId],
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>> {
        let causes = if self.is(Fault::EffectsAreLost) { &[] } else { causes };
        self.inner.linked_events(ids, causes, limit)
    }

    fn correlated_events<'a>(
        &'a self,
        correlation: &'a MessageId,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>> {
        Box::pin(async move {
            let mut events = self.inner.correlated_events(correlation, limit).await?;
            if self.is(Fault::CorrelationForgetsItsFirst) {
                events.retain(|event| event.event_id != *correlation);
            }
            Ok(events)
        })
    }

    fn unpublished_events(&self, limit: u32) -> BoxFuture<'_, Result<Vec<UnpublishedEvent>, Error>> {
        self.inner.unpublished_events(limit)
    }
}
