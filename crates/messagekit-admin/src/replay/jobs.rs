//! Ordered replays.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use messagekit::operations::{ReplayIds, ReplayJob, ReplayState};
use serde::Serialize;
use utoipa::ToSchema;

use super::filter::Filter;
use crate::app::App;
use crate::body::{NoBody, Number};
use crate::caller::Caller;
use crate::database::{Unreachable, Which};
use crate::page::{Listed, Part, next_link, page};
use crate::parameters::Query;
use crate::problem::Problem;

/// A replay.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobView {
    /// The database it is in.
    database: String,
    /// Its number there.
    #[schema(minimum = 1)]
    id: i64,
    filter: Filter,
    ids: ReplayIds,
    per_second: Option<u32>,
    state: JobState,
    /// The number of events that were selected when it was ordered.
    events: u64,
    /// The number of them that were published.
    published: u64,
    ordered_by: String,
    #[schema(value_type = String, format = DateTime)]
    ordered_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
    /// The error, if it failed.
    error: Option<String>,
}

/// The state of a replay.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum JobState {
    Running,
    Done,
    Cancelled,
    Failed,
}

impl JobView {
    pub(crate) fn of(database: &str, job: ReplayJob) -> Self {
        Self {
            database: database.to_owned(),
            id: job.id,
            filter: job.order.filter.into(),
            ids: job.order.ids,
            per_second: job.order.per_second,
            state: match job.state {
                ReplayState::Running => JobState::Running,
                ReplayState::Done => JobState::Done,
                ReplayState::Cancelled => JobState::Cancelled,
                ReplayState::Failed => JobState::Failed,
            },
            events: job.events,
            published: job.published,
            ordered_by: job.ordered_by,
            ordered_at: job.ordered_at,
            changed_at: job.changed_at,
            error: job.error,
        }
    }
}

impl Listed for ReplayJob {
    fn number(&self) -> i64 {
        self.id
    }

    fn time(&self) -> Timestamp {
        self.ordered_at
    }
}

/// A page of replays, newest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct JobPage {
    replays: Vec<JobView>,
    /// Databases that did not answer; their replays are missing here.
    unreachable: Vec<Unreachable>,
    /// The link to the next page, relative to this one; absent on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    next: Option<String>,
}

impl JobPage {
    /// Returns a page of one database, whose `next` is a position.
    pub(crate) fn of(database: &str, jobs: Vec<ReplayJob>, next: Option<i64>) -> Self {
        Self {
            replays: jobs.into_iter().map(|job| JobView::of(database, job)).collect(),
            unreachable: Vec::new(),
            next: next.map(|id| id.to_string()),
        }
    }
}

/// List replays, newest first
#[utoipa::path(
    get, path = "/api/v1/replay", tag = "replay", operation_id = "list_replays",
    params(Which, Part),
    responses((status = 200, body = JobPage), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query((which, part)): Query<(Which, Part)>,
) -> Result<Json<JobPage>, Problem> {
    let databases = app.databases.meant(which.database.as_deref())?;
    let list = |database: &'_ crate::database::Database, before, limit| {
        let store = database.store.clone();
        async move { store.replays(before, limit).await }
    };
    let page = page(databases, part.before(), part.limit(), list).await?;
    let replays = page.entries.into_iter().map(|(database, job)| JobView::of(&database.name, job)).collect();
    let next = page.before.map(|before| next_link(query.as_deref(), "before", &before));
    Ok(Json(JobPage { replays, unreachable: page.unreachable, next }))
}

/// Show a replay
#[utoipa::path(
    get, path = "/api/v1/replay/{id}", tag = "replay", operation_id = "show_replay",
    params(("id" = i64, Path, description = "The replay's number", minimum = 1), Which),
    responses((status = 200, body = JobView), (status = 404, description = "No such replay", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn show(
    State(app): State<App>,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Result<Json<JobView>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let job = database.ask(database.store.replay(id)).await?;
    Ok(Json(JobView::of(&database.name, job)))
}

/// Stop a running replay; published events stay published
///
/// Deleting the list of a large one takes a while. The response waits for 20 seconds at most; it may still show the
/// replay as running, but the replay stops.
#[utoipa::path(
    post, path = "/api/v1/replay/{id}/cancel", tag = "replay", operation_id = "cancel_replay",
    params(("id" = i64, Path, description = "The replay's number", minimum = 1), Which),
    responses(
        (status = 202, body = JobView),
        (status = 404, description = "No such replay", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It does not run", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn cancel(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Result<(StatusCode, Json<JobView>), Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let by = caller.operator();
    let cancelled = database.act_through(async move |store| store.cancel_replay(id, &by).await).await?;
    if cancelled.is_none() {
        tracing::info!(database = &*database.name, replay = id, "a cancel takes longer than its answer");
    }
    let job = database.ask(database.store.replay(id)).await?;
    Ok((StatusCode::ACCEPTED, Json(JobView::of(&database.name, job))))
}
