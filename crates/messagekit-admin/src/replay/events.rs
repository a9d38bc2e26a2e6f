//! Listing stored events.

use axum::Json;
use axum::extract::{RawQuery, State};
use jiff::Timestamp;
use messagekit::operations::{EventCursor, EventFilter, EventHead};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::app::App;
use crate::database::Which;
use crate::next_link::next_link;
use crate::page::{LIMIT, MAX_LIMIT};
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

/// A page of events, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub struct StoredEvents {
    /// The name of the database.
    pub database: String,
    /// The events, without their payloads.
    pub events: Vec<EventHead>,
    /// The link to the next page, relative to this one; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub next: Option<String>,
}

impl StoredEvents {
    /// Returns a page whose `next` is a position.
    pub fn of(database: &str, events: Vec<EventHead>, next: Option<&EventCursor>) -> Self {
        Self { database: database.to_owned(), events, next: next.map(After::text) }
    }
}

/// List stored events, oldest first
#[utoipa::path(
    get, path = "/api/v1/replay/events", tag = "replay", operation_id = "list_events",
    params(Which, EventQuery),
    responses((status = 200, body = StoredEvents), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn events(
    State(app): State<App>,
    RawQuery(raw): RawQuery,
    Query((which, query)): Query<(Which, EventQuery)>,
) -> Result<Json<StoredEvents>, Problem> {
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
    let mut page = StoredEvents::of(&database.name, found, next.as_ref());
    page.next = page.next.map(|after| next_link(raw.as_deref(), "after", &after));
    Ok(Json(page))
}
