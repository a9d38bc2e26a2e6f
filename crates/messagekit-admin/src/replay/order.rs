//! Counting the events of a replay, and ordering one.

use axum::extract::State;
use axum::http::StatusCode;
use messagekit::ErrorKind;
use messagekit::operations::{Operator, ReplayCount, ReplayIds, ReplayJob, ReplayOrder};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::filter::Filter;
use super::jobs::JobView;
use crate::app::App;
use crate::body::Json;
use crate::caller::Caller;
use crate::database::Database;
use crate::problem::Problem;

/// The events to count.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CountRequest {
    /// The database; optional if there is only one.
    #[serde(default)]
    #[schema(max_length = 63, pattern = "^[a-z0-9_-]{1,63}$")]
    database: Option<String>,
    filter: Filter,
}

/// The effect of a replay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct CountView {
    database: String,
    /// The number of events that it would publish.
    events: u64,
    /// For each consumer of this database: the number of them that it has handled, and would skip under the same ids.
    skipped_by: Vec<Skipped>,
    /// For each consumer of this database: the number of them that are older than its dedup window, or than the time
    /// since which its markers are complete. It would store them as failed messages under the same ids.
    too_old_for: Vec<Skipped>,
}

/// The number of events that one consumer would not apply.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Skipped {
    consumer: String,
    events: u64,
}

impl CountView {
    pub(crate) fn of(database: &str, count: ReplayCount) -> Self {
        let by_consumer = |counts: Vec<(String, u64)>| {
            counts.into_iter().map(|(consumer, events)| Skipped { consumer, events }).collect()
        };
        Self {
            database: database.to_owned(),
            events: count.events,
            skipped_by: by_consumer(count.skipped_by),
            too_old_for: by_consumer(count.too_old_for),
        }
    }
}

/// Count what a replay would publish, and publish nothing
#[utoipa::path(
    post, path = "/api/v1/replay/count", tag = "replay", operation_id = "count_replay",
    request_body = CountRequest,
    responses((status = 200, body = CountView), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn count(
    State(app): State<App>,
    Json(request): Json<CountRequest>,
) -> Result<axum::Json<CountView>, Problem> {
    let database = app.databases.one(request.database.as_deref())?;
    let count = database.count(request.filter.events()?).await?;
    Ok(axum::Json(CountView::of(&database.name, count)))
}

/// The events to publish again.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct OrderRequest {
    /// The database; optional if there is only one.
    #[serde(default)]
    #[schema(max_length = 63, pattern = "^[a-z0-9_-]{1,63}$")]
    database: Option<String>,
    filter: Filter,
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
    Job(Box<JobView>),
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
        filter: request.filter.events()?,
        ids: request.ids,
        per_second: request.per_second,
        count: request.count,
    };
    let ordered = match ordered(&app, database, order, caller.operator()).await? {
        Some(job) => Ordered::Job(Box::new(JobView::of(&database.name, job))),
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
