//! Listing the rejected events of an outbox.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use messagekit::relay::RejectedEvent;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::byte_text::ByteText;
use crate::database::Which;
use crate::page::{LIMIT, MAX_LIMIT, next_link};
use crate::parameters::{FromParameters, Parameters, Query};
use crate::problem::Problem;

/// An event that the broker rejected, or a later one of its key that waits for it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedView {
    /// The database it is in.
    database: String,
    /// Its number there.
    #[schema(minimum = 1)]
    id: i64,
    /// The event's id.
    event_id: String,
    topic: String,
    event_type: Option<String>,
    key: Option<ByteText>,
    /// The length of its payload.
    payload_bytes: u64,
    /// How often the broker rejected it; 0 for an event that waits.
    attempts: u32,
    /// The broker's error; null for an event that waits.
    error: Option<String>,
    /// The number of events that wait for it.
    behind: u64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    rejected_at: Timestamp,
}

impl RejectedView {
    fn of(database: &str, event: RejectedEvent) -> Self {
        Self {
            database: database.to_owned(),
            id: event.id,
            event_id: event.event_id.to_string(),
            topic: event.topic,
            event_type: event.event_type,
            key: event.key.map(ByteText::Text),
            payload_bytes: event.payload_bytes,
            attempts: event.attempts,
            error: event.error,
            behind: event.behind,
            created_at: event.created_at,
            rejected_at: event.rejected_at,
        }
    }
}

/// A page of rejected events, by number.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedPage {
    events: Vec<RejectedView>,
    /// The link to the next page, relative to this one; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl RejectedPage {
    /// Returns a page whose `next` is a position.
    pub(crate) fn of(database: &str, events: Vec<RejectedEvent>, next: Option<i64>) -> Self {
        Self {
            events: events.into_iter().map(|event| RejectedView::of(database, event)).collect(),
            next: next.map(|id| id.to_string()),
        }
    }
}

/// The filter, size and start of a page.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Asked {
    /// Also lists events that wait for rejected ones; only rejected ones by default.
    waiting: Option<bool>,
    /// The most entries of the page; 100 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Only those above this number: from the link to the next page.
    #[param(minimum = 1)]
    after: Option<i64>,
}

impl FromParameters for Asked {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            waiting: parameters.word("waiting", &[("true", true), ("false", false)])?,
            limit: parameters.number("limit", 1..=MAX_LIMIT)?,
            after: parameters.number("after", 1..=i64::MAX)?,
        })
    }
}

/// List the events of a database that the broker has rejected, the first one first
#[utoipa::path(
    get, path = "/api/v1/outbox/rejected", tag = "rejected events", operation_id = "list_rejected",
    params(Which, Asked),
    responses((status = 200, body = RejectedPage), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query((which, asked)): Query<(Which, Asked)>,
) -> Result<Json<RejectedPage>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    // Without a relay, no event can be rejected.
    let Some(rejected) = database.store.rejected_events() else {
        return Ok(Json(RejectedPage::of(&database.name, Vec::new(), None)));
    };
    let (after, limit) = (asked.after.unwrap_or(0), asked.limit.unwrap_or(LIMIT));
    let waiting = asked.waiting.unwrap_or(false);
    // One entry more than the page shows whether there is a next page.
    let mut events = database.ask(rejected.rejected(after, limit + 1, waiting)).await?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next = events.last().filter(|_| more).map(|last| last.id);
    let mut page = RejectedPage::of(&database.name, events, next);
    page.next = page.next.map(|after| next_link(query.as_deref(), "after", &after));
    Ok(Json(page))
}
