//! Listing the rejected events of an outbox.

use axum::Json;
use axum::extract::{RawQuery, State};
use utoipa::IntoParams;

use crate::app::App;
use crate::database::Which;
use crate::list::RejectedList;
use crate::page::{LIMIT, MAX_LIMIT};
use crate::parameters::{FromParameters, Parameters, Query};
use crate::problem::Problem;

/// The filter, size and start of a page.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct RejectedQuery {
    /// Also lists events that wait for rejected ones; only rejected ones by default.
    waiting: Option<bool>,
    /// The most entries of the page; 100 by default.
    #[param(minimum = 1, maximum = 200)]
    limit: Option<u32>,
    /// Only those above this number: from the link to the next page.
    #[param(minimum = 1)]
    after: Option<i64>,
}

impl FromParameters for RejectedQuery {
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
    params(Which, RejectedQuery),
    responses((status = 200, body = RejectedList), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query((which, asked)): Query<(Which, RejectedQuery)>,
) -> Result<Json<RejectedList>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    // Without a relay, no event can be rejected.
    let Some(rejected) = database.store.rejected_events() else {
        return Ok(Json(RejectedList::of(&database.name, Vec::new(), None)));
    };
    let (after, limit) = (asked.after.unwrap_or(0), asked.limit.unwrap_or(LIMIT));
    let waiting = asked.waiting.unwrap_or(false);
    // One entry more than the page shows whether there is a next page.
    let mut events = database.ask(rejected.rejected(after, limit + 1, waiting)).await?;
    let more = events.len() > limit as usize;
    events.truncate(limit as usize);
    let next = events.last().filter(|_| more).map(|last| last.id);
    Ok(Json(RejectedList::of(&database.name, events, next).linked(query.as_deref(), "after")))
}
