//! Ordered replays.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::http::StatusCode;
use messagekit::operations::ReplayJob;

use crate::InDatabase;
use crate::app::App;
use crate::body::{NoBody, Number};
use crate::caller::Caller;
use crate::database::Which;
use crate::list::ReplayList;
use crate::page::{PageQuery, answer_page};
use crate::parameters::Query;
use crate::problem::Problem;

/// List replays, newest first
#[utoipa::path(
    get, path = "/api/v1/replay", tag = "replay", operation_id = "list_replays",
    params(Which, PageQuery),
    responses((status = 200, body = ReplayList), (status = 404, description = "No such database", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn list(
    State(app): State<App>,
    RawQuery(query): RawQuery,
    Query((which, part)): Query<(Which, PageQuery)>,
) -> Result<Json<ReplayList>, Problem> {
    let list = |database: &'_ crate::database::Database, before, limit| {
        let store = database.store.clone();
        async move { store.replays(before, limit).await }
    };
    answer_page(&app, &which, (&part, query.as_deref()), list).await
}

/// Show a replay
#[utoipa::path(
    get, path = "/api/v1/replay/{id}", tag = "replay", operation_id = "show_replay",
    params(("id" = i64, Path, description = "The replay's number", minimum = 1), Which),
    responses((status = 200, body = InDatabase<ReplayJob>), (status = 404, description = "No such replay", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn show(
    State(app): State<App>,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Result<Json<InDatabase<ReplayJob>>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let job = database.ask(database.store.replay(id)).await?;
    Ok(Json(InDatabase::new(&*database.name, job)))
}

/// Stop a running replay; published events stay published
///
/// Deleting the list of a large one takes a while. The response waits for 20 seconds at most; it may still show the
/// replay as running, but the replay stops.
#[utoipa::path(
    post, path = "/api/v1/replay/{id}/cancel", tag = "replay", operation_id = "cancel_replay",
    params(("id" = i64, Path, description = "The replay's number", minimum = 1), Which),
    responses(
        (status = 202, body = InDatabase<ReplayJob>),
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
) -> Result<(StatusCode, Json<InDatabase<ReplayJob>>), Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let by = caller.operator();
    let cancelled = database.act_through(async move |store| store.cancel_replay(id, &by).await).await?;
    if cancelled.is_none() {
        tracing::info!(database = &*database.name, replay = id, "a cancel takes longer than its answer");
    }
    let job = database.ask(database.store.replay(id)).await?;
    Ok((StatusCode::ACCEPTED, Json(InDatabase::new(&*database.name, job))))
}
