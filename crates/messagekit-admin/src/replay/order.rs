//! Counting the events of a replay, and ordering one.

use axum::extract::State;
use axum::http::StatusCode;
use jiff::Timestamp;
use messagekit::ErrorKind;
use messagekit::operations::{EventFilter, Operator, ReplayCount, ReplayIds, ReplayJob, ReplayOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::InDatabase;
use crate::app::App;
use crate::body::Json;
use crate::caller::Caller;
use crate::database::Database;
use crate::parameters::{NO_TIME, searchable, usable_time};
use crate::problem::Problem;

/// Returns the filter of a request, unless a database could not compare one of its values.
fn checked(filter: EventFilter) -> Result<EventFilter, Problem> {
    let text = |name, text: Option<String>| text.map(|text| searchable(name, text)).transpose();
    let time = |name: &str, time: Option<Timestamp>| match time {
        Some(time) if usable_time(time).is_none() => Err(Problem::refused(format!("{name} {NO_TIME}"))),
        time => Ok(time),
    };
    Ok(EventFilter {
        event_type: text("type", filter.event_type)?,
        topic: text("topic", filter.topic)?,
        key: text("key", filter.key)?,
        from: time("from", filter.from)?,
        to: time("to", filter.to)?,
    })
}

/// The events to count.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountRequest {
    /// The database; optional if there is only one.
    #[serde(default)]
    #[schema(max_length = 63, pattern = "^[a-z0-9_-]{1,63}$")]
    database: Option<String>,
    filter: EventFilter,
}

/// Count what a replay would publish, and publish nothing
#[utoipa::path(
    post, path = "/api/v1/replay/count", tag = "replay", operation_id = "count_replay",
    request_body = CountRequest,
    responses((status = 200, body = InDatabase<ReplayCount>), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn count(
    State(app): State<App>,
    Json(request): Json<CountRequest>,
) -> Result<axum::Json<InDatabase<ReplayCount>>, Problem> {
    let database = app.databases.one(request.database.as_deref())?;
    let count = database.count(checked(request.filter)?).await?;
    Ok(axum::Json(InDatabase::new(&*database.name, count)))
}

/// The events to publish again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderRequest {
    /// The database; optional if there is only one.
    #[serde(default)]
    #[schema(max_length = 63, pattern = "^[a-z0-9_-]{1,63}$")]
    database: Option<String>,
    filter: EventFilter,
    /// `same` by default.
    #[serde(default)]
    ids: ReplayIds,
    /// At most this many per second; without it, as fast as the database allows.
    #[serde(default)]
    #[schema(minimum = 1, maximum = 1_000_000)]
    per_second: Option<u32>,
    /// From the count: the number that the operator has confirmed. Without it, any number of events.
    #[serde(default)]
    count: Option<u64>,
}

/// A replay that was ordered.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum Ordered {
    /// It is stored.
    Job(Box<InDatabase<ReplayJob>>),
    /// Its events are still being selected.
    Choosing(Choosing),
}

/// A replay whose events are still being selected. It appears in the list of replays afterwards.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Choosing {
    database: String,
    complete: bool,
}

/// Order a replay
///
/// Its events are selected now; later events are not part of it. If their number differs from the confirmed one,
/// nothing is done. It runs in the background at its pace, and resumes after a restart. The response waits for 20
/// seconds at most for the selection, which continues after it.
#[utoipa::path(
    post, path = "/api/v1/replay", tag = "replay", operation_id = "order_replay",
    request_body = OrderRequest,
    responses(
        (status = 202, body = Ordered),
        (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "There are more or fewer events than were confirmed, or another order is being chosen", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn order(
    State(app): State<App>,
    caller: Caller,
    Json(request): Json<OrderRequest>,
) -> Result<(StatusCode, axum::Json<Ordered>), Problem> {
    let database = app.databases.one(request.database.as_deref())?;
    if request.per_second.is_some_and(|pace| !(1..=1_000_000).contains(&pace)) {
        return Err(Problem::refused("per_second is not a whole number from 1 to 1000000"));
    }
    let order = ReplayOrder {
        filter: checked(request.filter)?,
        ids: request.ids,
        per_second: request.per_second,
        count: request.count,
    };
    let ordered = match ordered(&app, database, order, caller.operator()).await? {
        Some(job) => Ordered::Job(Box::new(InDatabase::new(&*database.name, job))),
        None => Ordered::Choosing(Choosing { database: database.name.to_string(), complete: false }),
    };
    Ok((StatusCode::ACCEPTED, axum::Json(ordered)))
}

/// Orders a replay, even if the caller disconnects. Returns `None` while its events are still being selected.
pub(crate) async fn ordered(
    app: &App,
    database: &Database,
    order: ReplayOrder,
    by: Operator,
) -> Result<Option<ReplayJob>, Problem> {
    // A caller that times out and repeats the order during the selection must not order it twice.
    let Ok(turn) = database.ordering.clone().try_acquire_owned() else {
        let detail =
            "another order of this database is being chosen: look for it in the list of replays first";
        return Err(Problem::new(StatusCode::CONFLICT, detail));
    };
    let shared = app.clone();
    let ordered = database.act_through(async move |store| {
        let _turn = turn;
        let ordered = match store.order_replay(&order, &by).await {
            Err(error) if error.kind() == ErrorKind::WrongState => {
                error.context("count").and_then(|count| count.parse().ok()).map(Err).ok_or(error)?
            }
            other => Ok(other?),
        };
        shared.ordered.notify_waiters();
        Ok(ordered)
    });
    ordered.await?.transpose().map_err(Problem::changed)
}
