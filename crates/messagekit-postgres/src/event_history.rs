//! Looks up events of the outbox and their messages in the inbox.

use messagekit::adapter::BoxFuture;
use messagekit::operations::{
    EventFilter, EventHead, EventHistory, EventRecord, LinkedEvent, MAX_ENTRIES, Publication,
    PublicationState, PublisherMode, PublisherState, UnpublishedEvent, chosen_by,
};
use messagekit::{Error, MessageId};
use sqlx::PgConnection;

use crate::PostgresStore;
use crate::cdc::Capture;
use crate::tables::{event_links, event_record, health, left, replay_jobs, stored_events, unpublished};

/// How many of the newest replays are compared with an event.
const REPLAYS: u32 = 200;

/// A relay tells of each event whether it is published. A slot confirms a position of the log, and checkpoints prove which events it
/// has passed: an event is published only with that proof. Above the time of the position it is pending, and between the two
/// nothing tells, because the transaction that wrote it may have committed later.
impl EventHistory for PostgresStore {
    fn event_record<'a>(&'a self, id: &'a MessageId) -> BoxFuture<'a, Result<EventRecord, Error>> {
        Box::pin(self.read(move |mut connection| async move { self.record(&mut connection, id).await }))
    }

    fn linked_events<'a>(
        &'a self,
        ids: &'a [MessageId],
        causes: &'a [MessageId],
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            event_links::linked(&mut connection, self.schema(), ids, causes, limit).await
        }))
    }

    fn correlated_events<'a>(
        &'a self,
        correlation: &'a MessageId,
        limit: u32,
    ) -> BoxFuture<'a, Result<Vec<LinkedEvent>, Error>> {
        Box::pin(self.read(move |mut connection| async move {
            let (schema, statement) = (self.schema(), event_links::CORRELATED);
            event_links::by_link(&mut connection, schema, statement, correlation, limit).await
        }))
    }

    fn unpublished_events(&self, limit: u32) -> BoxFuture<'_, Result<Vec<UnpublishedEvent>, Error>> {
        Box::pin(
            self.read(move |mut connection| async move { self.unpublished(&mut connection, limit).await }),
        )
    }
}

impl PostgresStore {
    async fn record(&self, connection: &mut PgConnection, id: &MessageId) -> Result<EventRecord, Error> {
        let schema = self.schema();
        let mut event = event_record::event(connection, schema, id).await?;
        let publisher = self.publisher(connection).await?;
        let failed_messages = event_record::failed_messages(connection, schema, id).await?;
        let mut replays = Vec::new();
        if let Some(event) = &mut event {
            // An event with a position stays in this database.
            let is_captured = publisher.mode != Some(PublisherMode::Relay) && event.position.is_none();
            if is_captured && event.publication.state == PublicationState::Published {
                event.publication = self.captured(connection, &publisher, &event.head).await?;
            }
            replays = replay_jobs::replays(connection, schema, None, REPLAYS).await?;
            replays.retain(|job| chosen_by(&job.order.filter, job.ordered_at, &event.head));
            replays.truncate(MAX_ENTRIES as usize);
        }
        let of_messages: Vec<i64> = failed_messages.iter().map(|head| head.id).collect();
        let of_replays: Vec<i64> = replays.iter().map(|job| job.id).collect();
        let republished = event_links::REPUBLISHED;
        Ok(EventRecord {
            event,
            publisher,
            outcomes: event_record::outcomes(connection, schema, id).await?,
            failures: event_record::failures(connection, schema, id).await?,
            republications: event_links::by_link(connection, schema, republished, id, MAX_ENTRIES).await?,
            actions: event_record::actions(connection, schema, &of_messages, &of_replays, id).await?,
            failed_messages,
            replays,
        })
    }

    /// Returns how far the publisher is, in two statements.
    pub(crate) async fn publisher(&self, connection: &mut PgConnection) -> Result<PublisherState, Error> {
        let capture = Capture::by(&self.pool().connect_options(), self.schema());
        let found = health::publisher(connection, self.schema(), &capture).await?;
        let mode = match found {
            health::Publishers { is_on: true, .. } => Some(PublisherMode::Relay),
            health::Publishers { has_slot: true, .. } | health::Publishers { has_publication: true, .. } => {
                Some(PublisherMode::Debezium)
            }
            _ => None,
        };
        let confirmed = match mode {
            Some(PublisherMode::Debezium) => {
                health::confirmed(connection, self.schema(), &capture.slot).await?
            }
            _ => None,
        };
        Ok(PublisherState {
            mode,
            has_relay: found.is_on.then_some(found.has_relay),
            confirmed_at: confirmed.map(|confirmed| confirmed.at.to_jiff()),
        })
    }

    async fn unpublished(
        &self,
        connection: &mut PgConnection,
        limit: u32,
    ) -> Result<Vec<UnpublishedEvent>, Error> {
        let publisher = self.publisher(connection).await?;
        if publisher.mode == Some(PublisherMode::Relay) {
            return unpublished::list(connection, self.schema(), limit).await;
        }
        let filter = EventFilter { from: publisher.confirmed_at, ..EventFilter::default() };
        let heads = stored_events::events(connection, self.schema(), &filter, None, limit).await?;
        let events = heads.into_iter().map(|head| UnpublishedEvent {
            event_id: head.event_id,
            event_type: head.event_type,
            topic: head.topic,
            key: head.key,
            attempts: 0,
            ready_at: head.created_at,
            is_delayed: false,
        });
        Ok(events.collect())
    }

    /// Returns how far an event is that a slot has to pass.
    async fn captured(
        &self,
        connection: &mut PgConnection,
        publisher: &PublisherState,
        event: &EventHead,
    ) -> Result<Publication, Error> {
        if publisher.mode.is_none() {
            return Ok(Publication::unknown());
        }
        if publisher.confirmed_at.is_some_and(|upto| event.created_at > upto) {
            return Ok(Publication::pending(0, event.created_at));
        }
        let capture = Capture::by(&self.pool().connect_options(), self.schema());
        let left = left::left(connection, self.schema(), &capture.slot).await?;
        let has_left = event_record::has_left(connection, self.schema(), &event.event_id, &left).await?;
        Ok(if has_left { Publication::published() } else { Publication::unknown() })
    }
}
