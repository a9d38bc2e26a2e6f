//! The JSON form of what one database knows of an event.

use jiff::Timestamp;
use messagekit::headers::{self, TraceContext};
use messagekit::operations::{
    AuditRecord, EventDetail, EventRecord, MarkerOutcome, Publication, PublisherMode, PublisherState,
};
use serde::Serialize;
use utoipa::ToSchema;

use super::related::RelatedView;
use crate::audit::ActionView;
use crate::byte_text::ByteText;
use crate::failed_messages::{FailedMessageView, HeaderView};
use crate::replay::JobView;

/// What one database knows of an event. Each list has at most 100 entries, the newest ones.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RecordView {
    database: String,
    /// The event in the outbox; null if this database did not write it, or does not keep it any more.
    event: Option<DetailView>,
    publisher: PublisherView,
    /// The processed markers, by consumer.
    outcomes: Vec<OutcomeView>,
    failed_messages: Vec<FailedMessageView>,
    /// Failures elsewhere, as broker dead letters tell.
    failures: Vec<FailureView>,
    /// Republications under new ids.
    republications: Vec<RelatedView>,
    /// Replays whose choice contains it, of the newest 200.
    replays: Vec<JobView>,
    /// Actions of operators on its failed messages, on its replays, and on the event while it was rejected.
    actions: Vec<ActionView>,
}

/// An event of the outbox, without its payload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DetailView {
    event_id: String,
    event_type: Option<String>,
    topic: String,
    key: Option<ByteText>,
    /// Where it stands in a topic of this database; null for a broker's topic.
    partition: Option<i32>,
    offset: Option<i64>,
    /// The number of its republications under the same id.
    copies: u32,
    /// When its row was written, by the database's clock.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    payload_bytes: u64,
    headers: Vec<HeaderView>,
    /// The trace that it belongs to; absent for a viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    trace_id: Option<String>,
    correlation_id: Option<String>,
    causation_id: Option<String>,
    replay_of: Option<String>,
    publication: PublicationView,
}

/// How far the publishing of an event is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublicationView {
    state: PublicationWord,
    /// Pending: since when it can be published. Delayed: from when. Rejected: when it was set aside.
    #[schema(value_type = Option<String>, format = DateTime)]
    at: Option<Timestamp>,
    /// How often a broker has refused it.
    attempts: u32,
    /// Its number among the rejected events.
    rejected: Option<i64>,
    /// The broker's error; null for an event that waits behind a rejected one.
    error: Option<String>,
}

/// How far the publishing of an event is, in one word.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum PublicationWord {
    /// It has left the outbox, or stands in its local topic. With change data capture, checkpoints prove that the slot has passed
    /// it, some minutes later.
    Published,
    Pending,
    Delayed,
    Rejected,
    /// Neither a relay nor a slot publishes this outbox, or nothing proves yet on which side of the event the slot is.
    Unknown,
}

/// How far the publisher of a database is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PublisherView {
    /// Null if nothing publishes.
    mode: Option<PublisherMode>,
    /// Whether a relay lives; null without one in use.
    has_relay: Option<bool>,
    /// Up to which time the slot has confirmed the log.
    #[schema(value_type = Option<String>, format = DateTime)]
    confirmed_at: Option<Timestamp>,
}

/// The processed marker of a consumer.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct OutcomeView {
    consumer: String,
    outcome: MarkerOutcome,
    #[schema(value_type = String, format = DateTime)]
    processed_at: Timestamp,
    /// The number of failed runs since it was set aside or last retried; null without a failed message.
    attempts: Option<u32>,
    /// How many runs began and have no answer yet.
    in_flight_attempts: u32,
}

/// A failure elsewhere.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailureView {
    consumer: String,
    reason: String,
    #[schema(value_type = String, format = DateTime)]
    at: Timestamp,
}

impl RecordView {
    /// `reads` shows the values of headers.
    pub(super) fn of(database: &str, record: EventRecord, reads: bool) -> Self {
        let outcomes = record.outcomes.iter().map(|outcome| {
            let own = record.failed_messages.iter().find(|head| head.consumer == outcome.consumer);
            OutcomeView {
                consumer: outcome.consumer.clone(),
                outcome: outcome.outcome,
                processed_at: outcome.processed_at,
                attempts: own.map(|head| head.attempts),
                in_flight_attempts: outcome.in_flight_attempts,
            }
        });
        let failures = record.failures.into_iter().map(|failure| FailureView {
            consumer: failure.consumer,
            reason: failure.reason,
            at: failure.at,
        });
        let action = |action: AuditRecord| ActionView::of(database, action);
        Self {
            database: database.to_owned(),
            outcomes: outcomes.collect(),
            event: record.event.map(|event| DetailView::of(event, reads)),
            publisher: record.publisher.into(),
            failed_messages: record
                .failed_messages
                .into_iter()
                .map(|head| FailedMessageView::of(database, head))
                .collect(),
            failures: failures.collect(),
            republications: record
                .republications
                .into_iter()
                .map(|event| RelatedView::of(database, event))
                .collect(),
            replays: record.replays.into_iter().map(|job| JobView::of(database, job)).collect(),
            actions: record.actions.into_iter().map(action).collect(),
        }
    }
}

impl DetailView {
    fn of(event: EventDetail, reads: bool) -> Self {
        let EventDetail { head, headers, links, position, publication } = event;
        let trace = headers.text(headers::TRACEPARENT).and_then(|text| text.parse::<TraceContext>().ok());
        let shown_headers = headers.iter().map(|(name, value)| HeaderView {
            name: name.to_owned(),
            value: reads.then(|| ByteText::of(value)),
        });
        let text = |id: Option<messagekit::MessageId>| id.map(|id| id.to_string());
        Self {
            event_id: head.event_id.to_string(),
            event_type: head.event_type,
            topic: head.topic.to_string(),
            key: head.key.as_deref().map(ByteText::of),
            partition: position.as_ref().map(|position| position.partition),
            offset: position.as_ref().map(|position| position.offset),
            copies: head.copies,
            created_at: head.created_at,
            payload_bytes: head.payload_bytes,
            headers: shown_headers.collect(),
            trace_id: trace.filter(|_| reads).map(|trace| trace.trace_id().to_owned()),
            correlation_id: text(links.correlation_id),
            causation_id: text(links.causation_id),
            replay_of: text(links.replay_of),
            publication: publication.into(),
        }
    }
}

impl From<Publication> for PublicationView {
    fn from(publication: Publication) -> Self {
        let of = |state, at| Self { state, at, attempts: 0, rejected: None, error: None };
        match publication {
            Publication::Published => of(PublicationWord::Published, None),
            Publication::Pending { attempts, since } => {
                Self { attempts, ..of(PublicationWord::Pending, Some(since)) }
            }
            Publication::Delayed { due } => of(PublicationWord::Delayed, Some(due)),
            Publication::Rejected { id, attempts, error, at } => {
                Self { attempts, rejected: Some(id), error, ..of(PublicationWord::Rejected, Some(at)) }
            }
            Publication::Unknown => of(PublicationWord::Unknown, None),
        }
    }
}

impl From<PublisherState> for PublisherView {
    fn from(state: PublisherState) -> Self {
        Self { mode: state.mode, has_relay: state.has_relay, confirmed_at: state.confirmed_at }
    }
}
