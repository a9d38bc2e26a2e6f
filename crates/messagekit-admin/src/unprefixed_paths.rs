//! The paths of earlier versions, with their formats.
//!
//! They serve existing callers; `/api/v1` offers more. An `id` is the number of a failed message, as text.

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use messagekit::ErrorKind;
use messagekit::operations::{
    Action, ActionResult, EventFilter, EventHead, FailedMessageFilter, FailedMessageState, ReplayIds,
    ReplayOrder,
};
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::App;
use crate::body::{NoBody, Number};
use crate::caller::Caller;
use crate::database::Which;
use crate::parameters::{FromParameters, Parameters, Query};
use crate::problem::Problem;
use crate::replay::ordered;

/// The most rows of a page and of a replay here.
const MAX_LIMIT: u32 = 1_000;
/// The largest offset: each page reads the rows before it again.
const MAX_OFFSET: u32 = 10_000;

pub(crate) fn for_viewers() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(dlq)).routes(routes!(events))
}

pub(crate) fn for_operators() -> OpenApiRouter<App> {
    OpenApiRouter::new().routes(routes!(retry)).routes(routes!(replay))
}

/// The filter, size and start of a page.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct EarlierPage {
    /// Only those of this type.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    event_type: Option<String>,
    /// The most rows; 100 by default.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
    /// The number of rows to skip.
    #[param(minimum = 0, maximum = 10_000)]
    offset: Option<u32>,
}

impl FromParameters for EarlierPage {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            event_type: parameters.text("event_type")?,
            limit: parameters.number("limit", 1..=MAX_LIMIT)?,
            offset: parameters.number("offset", 0..=MAX_OFFSET)?,
        })
    }
}

/// Events that failed, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedEvents {
    events: Vec<FailedEvent>,
}

/// An event that failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FailedEvent {
    id: String,
    event_type: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    failed_at: Timestamp,
    error_message: String,
}

/// List dead events, newest first
#[utoipa::path(
    get, path = "/dlq", tag = "earlier paths", operation_id = "earlier_list",
    params(Which, EarlierPage),
    responses((status = 200, body = FailedEvents), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
async fn dlq(
    State(app): State<App>,
    Query((which, part)): Query<(Which, EarlierPage)>,
) -> Result<Json<FailedEvents>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let mut filter = FailedMessageFilter {
        event_type: part.event_type,
        state: Some(FailedMessageState::Dead),
        ..FailedMessageFilter::default()
    };
    let (mut left, mut limit) = (part.offset.unwrap_or(0), part.limit.unwrap_or(100));
    let mut events = Vec::new();
    while limit > 0 {
        let asked = (left + limit).min(MAX_LIMIT);
        let failed_messages = database.ask(database.store.list(&filter, asked)).await?;
        let found = failed_messages.len() as u32;
        filter.before = failed_messages.last().map(|failed_message| failed_message.id);
        let passed = left.min(found);
        let shown = failed_messages.into_iter().skip(passed as usize).map(|failed_message| FailedEvent {
            id: failed_message.id.to_string(),
            event_type: failed_message.event_type,
            failed_at: failed_message.set_aside_at,
            error_message: failed_message.error,
        });
        events.extend(shown);
        left -= passed;
        limit -= found - passed;
        if found < asked {
            break;
        }
    }
    Ok(Json(FailedEvents { events }))
}

/// The result of a retry.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retried {
    retried: bool,
}

/// Retry a dead event
#[utoipa::path(
    post, path = "/dlq/{id}/retry", tag = "earlier paths", operation_id = "earlier_retry",
    params(("id" = i64, Path, description = "The event's id in the list", minimum = 1), Which),
    responses((status = 200, body = Retried), (status = 404, description = "No such event", body = Problem, content_type = "application/problem+json"))
)]
async fn retry(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Result<Json<Retried>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let acted = database.act(database.store.act(Action::Retry, &[id], &caller.operator())).await?;
    let acted = acted.first().copied().unwrap_or(ActionResult::NotFound);
    acted.done(Action::Retry, id).map_err(|error| match error.kind() {
        ErrorKind::WrongState => Problem::malformed(error.to_string()),
        _ => Problem::of(&database.name, &error),
    })?;
    Ok(Json(Retried { retried: true }))
}

/// The filter and size of a selection.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Range {
    /// Only those of this type.
    #[param(max_length = 200, pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")]
    event_type: Option<String>,
    /// Written at or after this time; without it the result is empty.
    #[param(value_type = Option<String>, format = DateTime)]
    from_ts: Option<Timestamp>,
    /// Written at or before this time; without it the result is empty.
    #[param(value_type = Option<String>, format = DateTime)]
    to_ts: Option<Timestamp>,
    /// The most events.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u32>,
}

impl FromParameters for Range {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self {
            event_type: parameters.text("event_type")?,
            from_ts: parameters.time("from_ts")?,
            to_ts: parameters.time("to_ts")?,
            limit: parameters.number("limit", 1..=MAX_LIMIT)?,
        })
    }
}

impl Range {
    /// Returns the filter, or `None` unless both times are given.
    fn filter(&self) -> Option<EventFilter> {
        let (from, to) = (Some(self.from_ts?), Some(self.to_ts?));
        Some(EventFilter { event_type: self.event_type.clone(), from, to, ..EventFilter::default() })
    }
}

/// The number of rows to skip.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct Offset {
    /// The number of rows to skip.
    #[param(minimum = 0, maximum = 10_000)]
    offset: Option<u32>,
}

impl FromParameters for Offset {
    fn take(parameters: &mut Parameters) -> Result<Self, Problem> {
        Ok(Self { offset: parameters.number("offset", 0..=MAX_OFFSET)? })
    }
}

/// Events that were written in a range of time, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeptEvents {
    events: Vec<KeptEvent>,
    /// The reason for an empty result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<&'static str>,
}

/// A stored event.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeptEvent {
    event_id: String,
    event_type: Option<String>,
    aggregate_id: Option<String>,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
}

/// How many events are in memory at once.
const PAGE: u32 = 1_000;

const NO_RANGE: &str = "from_ts and to_ts are needed";

/// List events of a range of time, oldest first
#[utoipa::path(
    get, path = "/replay", tag = "earlier paths", operation_id = "earlier_events",
    params(Which, Range, Offset),
    responses((status = 200, body = KeptEvents), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
async fn events(
    State(app): State<App>,
    Query((which, part)): Query<(Which, (Range, Offset))>,
) -> Result<Json<KeptEvents>, Problem> {
    let (range, offset) = part;
    let database = app.databases.one(which.database.as_deref())?;
    let Some(filter) = range.filter() else {
        return Ok(Json(KeptEvents { events: Vec::new(), message: Some(NO_RANGE) }));
    };
    let (limit, offset) = (range.limit.unwrap_or(100), offset.offset.unwrap_or(0));
    let (mut skip, mut left) = (offset, limit);
    let (mut after, mut events) = (None, Vec::new());
    while left > 0 {
        let asked = PAGE.min(skip.saturating_add(left));
        let found = database.ask(database.store.events(&filter, after.as_ref(), asked)).await?;
        after = found.last().map(EventHead::cursor);
        let is_last = found.len() < asked as usize;
        for event in found {
            if skip > 0 {
                skip -= 1;
            } else if left > 0 {
                left -= 1;
                events.push(kept(event));
            }
        }
        if is_last {
            break;
        }
    }
    Ok(Json(KeptEvents { events, message: None }))
}

fn kept(event: EventHead) -> KeptEvent {
    KeptEvent {
        event_id: event.event_id.to_string(),
        event_type: event.event_type,
        aggregate_id: event.key.as_deref().map(|key| String::from_utf8_lossy(key).into_owned()),
        created_at: event.created_at,
    }
}

/// The number of events that are published again.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    replayed_count: u64,
    /// The reason for an empty result.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    message: Option<&'static str>,
}

/// Publish the events of a range of time again, under their own ids
///
/// They are selected now and published in the background. More than `limit` events are an error: `/api/v1/replay` has
/// no limit.
#[utoipa::path(
    post, path = "/replay", tag = "earlier paths", operation_id = "earlier_replay",
    params(Which, Range),
    responses(
        (status = 200, body = Replayed),
        (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are more or fewer events than a moment ago, or another order is being chosen", body = Problem, content_type = "application/problem+json")
    )
)]
async fn replay(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Query((which, range)): Query<(Which, Range)>,
) -> Result<Json<Replayed>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let Some(filter) = range.filter() else {
        return Ok(Json(Replayed { replayed_count: 0, message: Some(NO_RANGE) }));
    };
    let limit = u64::from(range.limit.unwrap_or(MAX_LIMIT));
    let count = database.count(filter.clone()).await?.events;
    if count > limit {
        let text = format!("the range holds {count} events, more than the limit of {limit}: narrow it");
        return Err(Problem::refused(text));
    }
    // Exactly the counted ones: with later events, their number could exceed the limit.
    let order = ReplayOrder { filter, ids: ReplayIds::Same, per_second: None, count: Some(count) };
    let replayed_count = match ordered(&app, database, order, caller.operator()).await? {
        Some(job) => job.events,
        None => count,
    };
    Ok(Json(Replayed { replayed_count, message: None }))
}
