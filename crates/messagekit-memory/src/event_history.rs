//! What an in-memory database knows of one event.

use std::collections::BTreeSet;

use messagekit::adapter::{BoxFuture, EventLinks};
use messagekit::operations::{
    ConsumerOutcome, EventDetail, EventFailure, EventHistory, EventRecord, LinkedEvent, MAX_ENTRIES,
    MarkerOutcome, Publication, PublisherMode, PublisherState, StoredEvent, UnpublishedEvent, chosen_by,
};
use messagekit::{Claim, Error, MessageId};

use super::MemoryStore;
use super::audit::audit_record;
use super::failpoint::Failpoint;
use super::replays::head_of;
use super::stored_message::StoredMessage;
use super::tables::Tables;

const MOST: usize = MAX_ENTRIES as usize;

impl Tables {
    fn linked(&self, event: &StoredEvent) -> LinkedEvent {
        let head = head_of(event);
        LinkedEvent {
            event_id: head.event_id,
            event_type: head.event_type,
            topic: head.topic,
            key: head.key,
            created_at: head.created_at,
            links: self.links.get(&event.event_id).cloned().unwrap_or_default(),
        }
    }

    /// Returns the events of a condition on their links, oldest first.
    fn linked_by(
        &self,
        limit: usize,
        is_meant: impl Fn(&MessageId, &EventLinks) -> bool,
    ) -> Vec<LinkedEvent> {
        let alone = EventLinks::default();
        let meant = self
            .events
            .iter()
            .filter(|event| is_meant(&event.event_id, self.links.get(&event.event_id).unwrap_or(&alone)));
        let mut events: Vec<_> = meant.map(|event| self.linked(event)).collect();
        events.sort_by(|a, b| (a.created_at, &a.event_id).cmp(&(b.created_at, &b.event_id)));
        events.truncate(limit);
        events
    }

    fn outcomes(&self, id: &MessageId) -> Vec<ConsumerOutcome> {
        let own = self.markers.iter().filter(|((_, message), _)| message == id);
        let outcomes = own.map(|((consumer, _), marker)| ConsumerOutcome {
            consumer: consumer.clone(),
            outcome: match marker.claim {
                Claim::Held => MarkerOutcome::Held,
                Claim::Discarded => MarkerOutcome::Discarded,
                _ => MarkerOutcome::Done,
            },
            processed_at: marker.processed_at,
            in_flight_attempts: self.attempts(consumer, id),
        });
        outcomes.take(MOST).collect()
    }

    fn attempts(&self, consumer: &str, id: &MessageId) -> u32 {
        let attempts = self.in_flight_attempts.get(&(consumer.to_owned(), id.clone()));
        attempts.map_or(0, |attempts| u32::try_from(attempts.len()).unwrap_or(u32::MAX))
    }

    fn record(&self, id: &MessageId) -> EventRecord {
        let event = self.events.iter().find(|event| event.event_id == *id).map(|event| EventDetail {
            head: head_of(event),
            headers: event.message.headers.clone(),
            links: self.links.get(id).cloned().unwrap_or_default(),
            position: None,
            publication: Publication::published(),
        });
        let failed_messages: Vec<_> = self
            .failed_messages
            .values()
            .rev()
            .map(StoredMessage::head)
            .filter(|head| head.message_id == *id)
            .take(MOST)
            .cloned()
            .collect();
        let failures = self.failures.iter().filter(|((event, _), _)| event == id);
        let failures = failures.map(|((_, consumer), (reason, at))| EventFailure {
            consumer: consumer.clone(),
            reason: reason.clone(),
            at: *at,
        });
        let jobs = self.replays.iter().rev().map(|replay| &replay.job).filter(|job| {
            let head = event.as_ref().map(|event| &event.head);
            head.is_some_and(|head| chosen_by(&job.order.filter, job.ordered_at, head))
        });
        let replays: Vec<_> = jobs.take(MOST).cloned().collect();
        let of_messages: BTreeSet<i64> = failed_messages.iter().map(|head| head.id).collect();
        let of_replays: BTreeSet<i64> = replays.iter().map(|job| job.id).collect();
        let actions = self.audit.iter().enumerate().rev().map(|(index, entry)| audit_record(index, entry));
        let actions = actions.filter(|record| {
            record.failed_messages.iter().any(|id| of_messages.contains(id))
                || record.replay.is_some_and(|replay| of_replays.contains(&replay))
        });
        EventRecord {
            publisher: PublisherState {
                mode: Some(PublisherMode::Local),
                has_relay: None,
                confirmed_at: None,
            },
            outcomes: self.outcomes(id),
            failures: failures.take(MOST).collect(),
            republications: self.linked_by(MOST, |_, links| links.replay_of.as_ref() == Some(id)),
            actions: actions.take(MOST).collect(),
            event,
            failed_messages,
            replays,
        }
    }
}

impl EventHistory for MemoryStore {
    fn event_record<'a>(&'a self, id: &'a MessageId) -> BoxFuture<'a, Result<EventRecord, Error>> {
        Box::pin(async move { Ok(self.tables(|tables| tables.record(id))) })
    }

    fn linked_events<'a>(
        &'a self,
        ids: &'a [MessageId],
        causes: &'a [MessageId],
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>> {
        Box::pin(async move {
            self.tables(|tables| {
                tables.pass(Failpoint::LinkedEvents)?;
                Ok(tables.linked_by(limit as usize, |id, links| {
                    ids.contains(id)
                        || links.causation_id.as_ref().is_some_and(|cause| causes.contains(cause))
                }))
            })
        })
    }

    fn correlated_events<'a>(
        &'a self,
        correlation: &'a MessageId,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>> {
        Box::pin(async move {
            Ok(self.tables(|tables| {
                tables.linked_by(limit as usize, |id, links| {
                    id == correlation || links.correlation_id.as_ref() == Some(correlation)
                })
            }))
        })
    }

    /// A commit publishes at once.
    fn unpublished_events(&self, _limit: u32) -> BoxFuture<'_, Result<Vec<UnpublishedEvent>, Error>> {
        Box::pin(async { Ok(Vec::new()) })
    }
}
