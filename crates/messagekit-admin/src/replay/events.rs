//! Listing stored events.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use messagekit::operations::{EventCursor, EventFilter, EventHead};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::byte_text::ByteText;
use crate::database::Which;
use crate::page::{LIMIT, MAX_LIMIT, next_link};
use crate::parameters::{FromParameters, Parameters, Query, usable_time};
use crate::problem::Problem;

/// Which stored events. Times are when a row was written, by the database's clock.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EventQuery {
    /// Only those of this type.
    #[param(rename = "type", max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    event_type: Option<String>,
    /// Only those of this topic.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    topic: Option<String>,
    /// Only those with exactly this key.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    key: Option<String>,
    /// Only those written at or after this time.
    #[param(value_type = Option<String>, format = DateTime)]
    from: Option<Timestamp>,
    /// Only those written at or before this time.
    #[param(value_type = Option<String>, format = DateTime)]
    to: Option<Timestamp>,
    /// The most events of the page; 100 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Only those after this position: from the link to the next page.
    #[param(value_type = Option<String>)]
    after: Option<After>,
}

#[derive(Debug)]
struct After(EventCursor);

impl After {
    fn read(text: &str) -> Option<Self> {
        let (time, id) = text.split_once('/')?;
        let created_at = usable_time(time.parse().ok()?)?;
        Some(Self(EventCursor { created_at, event_id: id.parse().ok()? }))
    }

    fn text(position: &EventCursor) -> String {
        format!("{}/{}", position.created_at, position.event_id)
    }
}

impl FromParameters for EventQuery {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        let after = parameters.bytes("after")?.map(|bytes| {
            let after = std::str::from_utf8(&bytes).ok().and_then(After::read);
            after.ok_or_else(|| Problem::refused("parameter after is not taken from a link to the next page"))
        });
        Ok(Self {
            event_type: parameters.text("type")?,
            topic: parameters.text("topic")?,
            key: parameters.text("key")?,
            from: parameters.time("from")?,
            to: parameters.time("to")?,
            limit: parameters.number("limit", 1..=MAX_LIMIT)?,
            after: after.transpose()?,
        })
    }
}

/// An event of the outbox, without its payload.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventView {
    event_id: String,
    event_type: Option<String>,
    topic: String,
    key: Option<ByteText>,
    /// The number of its republications.
    copies: u32,
    /// When its row was written, by the database's clock.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    payload_bytes: u64,
}

/// A page of events, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct EventPage {
    database: String,
    events: Vec<EventView>,
    /// The link to the next page, relative to this one; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl EventView {
    fn of(event: EventHead) -> Self {
        Self {
            event_id: event.event_id.to_string(),
            event_type: event.event_type,
            topic: event.topic.to_string(),
            key: event.key.as_deref().map(ByteText::of),
            copies: event.copies,
            created_at: event.created_at,
            payload_bytes: event.payload_bytes,
        }
    }
}

impl EventPage {
    /// Returns a page whose `next` is a position.
    pub(crate) fn of(database: &str, events: Vec<EventHead>, next: Option<&EventCursor>) -> Self {
        Self {
            database: database.to_owned(),
            events: events.into_iter().map(EventView::of).collect(),
            next: next.map(After::text),
        }
    }
}

/// List stored events, oldest first
#[utoipa::path(
    get, path = "/api/v1/replay/events", tag = "replay", operation_id = "list_events",
    params(Which, EventQuery),
    responses((status = 200, body = EventPage), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn events(
    State(app): State<App>,
    RawQuery(raw): RawQuery,
    Query((which, query)): Query<(Which, EventQuery)>,
) -> Result<Json<EventPage>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let limit = query.limit.unwrap_or(LIMIT);
    let filter = EventFilter {
        event_type: query.event_type,
        topic: query.topic,
        key: query.key,
        from: query.from,
        to: query.to,
    };
    let after = query.after.as_ref().map(|after| &after.0);
    let mut found = database.ask(database.store.events(&filter, after, limit + 1)).await?;
    let more = found.len() > limit as usize;
    found.truncate(limit as usize);
    let next = found.last().filter(|_| more).map(EventHead::cursor);
    let mut page = EventPage::of(&database.name, found, next.as_ref());
    page.next = page.next.map(|after| next_link(raw.as_deref(), "after", &after));
    Ok(Json(page))
}
