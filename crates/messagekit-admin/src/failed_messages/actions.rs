//! Actions on one failed message.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use messagekit::operations::{Action, FailedMessageState, RetryRunner};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{NoBody, Number};
use crate::caller::Caller;
use crate::database::{Database, Which};
use crate::parameters::Query;
use crate::problem::Problem;

/// An action that was recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActionAnswer {
    database: String,
    id: i64,
    act: Action,
    /// The state that the failed message had when this action was committed.
    state: FailedMessageState,
    /// For a retry: which consumer must run, and whether one does. Absent if the database did not tell in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    runner: Option<RetryRunner>,
}

type Answer = Result<(StatusCode, Json<ActionAnswer>), Problem>;

async fn act(app: App, caller: Caller, id: i64, which: Which, action: Action) -> Answer {
    let database = app.databases.one(which.database.as_deref())?;
    let state = database.act(database.store.act_on(action, id, &caller.operator())).await?;
    let runner = match action {
        Action::Retry => runner_of(database, id).await,
        Action::Discard | Action::Undo => None,
    };
    let view = ActionAnswer { database: database.name.to_string(), id, act: action, state, runner };
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Returns who runs a failed message. The action is recorded already, so an outage leaves this out.
async fn runner_of(database: &Database, id: i64) -> Option<RetryRunner> {
    let store = &*database.store;
    let runner = async { RetryRunner::of(store, &store.show(id).await?.consumer).await };
    database.within(runner).await.ok()
}

/// Retry a failed message
///
/// A `dead` message waits in state `retry_requested` until a process runs it: a consumer under its consumer's name,
/// or the bookkeeper for a broker's dead letter. One that is `retry_scheduled`, or `retry_requested` for later, is due now
/// and stays in its state: if the scheduled run fails, the next one is scheduled as usual. `runner` names it and says
/// whether one of its processes was seen within 30 seconds.
#[utoipa::path(
    post, path = "/api/v1/dlq/{id}/retry", tag = "failed messages", operation_id = "retry_failed_message",
    params(("id" = i64, Path, description = "The failed message's number", minimum = 1), Which),
    responses(
        (status = 202, body = ActionAnswer),
        (status = 404, description = "No such failed message", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is blocked or closed, or due or running already", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Answer {
    act(app, caller, id, which, Action::Retry).await
}

/// Discard an open failed message: its message is never applied, not even a later duplicate
#[utoipa::path(
    post, path = "/api/v1/dlq/{id}/discard", tag = "failed messages", operation_id = "discard_failed_message",
    params(("id" = i64, Path, description = "The failed message's number", minimum = 1), Which),
    responses(
        (status = 202, body = ActionAnswer),
        (status = 404, description = "No such failed message", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is closed", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn discard(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Answer {
    act(app, caller, id, which, Action::Discard).await
}

/// Take a discard back
///
/// The failed message is `dead`: it runs when it is retried. One that was parked behind an earlier message of its key and has
/// not failed itself takes its position again, and its consumer runs it: it is `blocked`, or `retry_scheduled` when no earlier
/// message of its key is open. Later messages of its key may have been applied meanwhile.
#[utoipa::path(
    post, path = "/api/v1/dlq/{id}/undo", tag = "failed messages", operation_id = "undo_failed_message",
    params(("id" = i64, Path, description = "The failed message's number", minimum = 1), Which),
    responses(
        (status = 202, body = ActionAnswer),
        (status = 404, description = "No such failed message", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not discarded", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn undo(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Answer {
    act(app, caller, id, which, Action::Undo).await
}
