//! What one database knows of an event, as a caller may see it.

use messagekit::headers::{self, TraceContext};
use messagekit::operations::{
    AuditRecord, ConsumerOutcome, EventDetail, EventFailure, EventHead, EventRecord, FailedMessageHead,
    LinkedEvent, Publication, PublisherState, ReplayJob,
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::InDatabase;
use crate::failed_messages::ShownHeader;

/// What one database knows of an event. Each list has at most 100 entries, the newest ones.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownRecord {
    /// The name of the database.
    pub database: String,
    /// The event in the outbox; null if this database did not write it, or does not keep it any more.
    pub event: Option<ShownEvent>,
    /// How far the publisher is.
    pub publisher: PublisherState,
    /// The processed markers, by consumer.
    pub outcomes: Vec<ShownOutcome>,
    /// Its failed messages.
    pub failed_messages: Vec<InDatabase<FailedMessageHead>>,
    /// Failures elsewhere, as broker dead letters tell.
    pub failures: Vec<EventFailure>,
    /// Republications under new ids.
    pub republications: Vec<InDatabase<LinkedEvent>>,
    /// Replays whose choice contains it, of the newest 200.
    pub replays: Vec<InDatabase<ReplayJob>>,
    /// Actions of operators on its failed messages, on its replays, and on the event while it was rejected.
    pub actions: Vec<InDatabase<AuditRecord>>,
}

/// An event of the outbox, without its payload.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownEvent {
    /// The event as lists show it.
    #[serde(flatten)]
    pub head: EventHead,
    /// Its partition in a topic of this database; null for a broker's topic.
    pub partition: Option<i32>,
    /// Its offset in the partition.
    pub offset: Option<i64>,
    /// Its headers.
    pub headers: Vec<ShownHeader>,
    /// The trace that it belongs to; absent for a viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub trace_id: Option<String>,
    /// The events that led to it.
    #[serde(flatten)]
    pub links: messagekit::adapter::EventLinks,
    /// How far its publishing is.
    pub publication: Publication,
}

/// The processed marker of a consumer.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownOutcome {
    /// The marker.
    #[serde(flatten)]
    pub marker: ConsumerOutcome,
    /// The number of failed runs since it was set aside or last retried; null without a failed message.
    pub attempts: Option<u32>,
}

impl ShownRecord {
    /// `reads` shows the values of headers.
    pub(super) fn of(database: &str, record: EventRecord, reads: bool) -> Self {
        let heads = &record.failed_messages;
        let outcome = |marker: ConsumerOutcome| {
            let own = heads.iter().find(|head| head.consumer == marker.consumer);
            ShownOutcome { attempts: own.map(|head| head.attempts), marker }
        };
        Self {
            database: database.to_owned(),
            outcomes: record.outcomes.into_iter().map(outcome).collect(),
            event: record.event.map(|event| ShownEvent::of(event, reads)),
            publisher: record.publisher,
            failed_messages: InDatabase::all(database, record.failed_messages),
            failures: record.failures,
            republications: InDatabase::all(database, record.republications),
            replays: InDatabase::all(database, record.replays),
            actions: InDatabase::all(database, record.actions),
        }
    }
}

impl ShownEvent {
    fn of(event: EventDetail, reads: bool) -> Self {
        let EventDetail { head, headers, links, position, publication } = event;
        let trace = headers.text(headers::TRACEPARENT).and_then(|text| text.parse::<TraceContext>().ok());
        let (partition, offset) = position.map(|position| (position.partition, position.offset)).unzip();
        Self {
            head,
            partition,
            offset,
            headers: ShownHeader::all(&headers, reads),
            trace_id: trace.filter(|_| reads).map(|trace| trace.trace_id().to_owned()),
            links,
            publication,
        }
    }
}
