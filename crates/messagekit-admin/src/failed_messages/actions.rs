//! Actions on one failed message.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use messagekit::operations::Action;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::view::StateWord;
use crate::app::App;
use crate::body::{NoBody, Number};
use crate::caller::Caller;
use crate::database::Which;
use crate::parameters::Query;
use crate::problem::Problem;

/// An action of an operator on failed messages.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ActWord {
    /// Run a failed message once more.
    Retry,
    /// Give an open failed message up.
    Discard,
    /// Take a discard back.
    Undo,
}

impl From<ActWord> for Action {
    fn from(act: ActWord) -> Self {
        match act {
            ActWord::Retry => Self::Retry,
            ActWord::Discard => Self::Discard,
            ActWord::Undo => Self::Undo,
        }
    }
}

/// An action that was recorded.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ActionResultView {
    database: String,
    id: i64,
    act: ActWord,
    /// The state that the failed message had when this action was committed.
    state: StateWord,
}

type Answer = Result<(StatusCode, Json<ActionResultView>), Problem>;

async fn act(app: App, caller: Caller, id: i64, which: Which, word: ActWord) -> Answer {
    let database = app.databases.one(which.database.as_deref())?;
    let state = database.act(database.store.act_on(word.into(), id, &caller.operator())).await?.into();
    let view = ActionResultView { database: database.name.to_string(), id, act: word, state };
    Ok((StatusCode::ACCEPTED, Json(view)))
}

/// Retry a failed message
///
/// The failed message waits in state `retry_requested` until a process runs it: a consumer under its consumer's name,
/// or the bookkeeper for a broker's dead letter. The admin does not know whether one runs; a failed message that
/// stays `retry_requested` shows that none does.
#[utoipa::path(
    post, path = "/api/v1/dlq/{id}/retry", tag = "failed messages", operation_id = "retry_failed_message",
    params(("id" = i64, Path, description = "The failed message's number", minimum = 1), Which),
    responses(
        (status = 202, body = ActionResultView),
        (status = 404, description = "No such failed message", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It is not dead", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Answer {
    act(app, caller, id, which, ActWord::Retry).await
}

/// Discard an open failed message: its message is never applied, not even a later duplicate
#[utoipa::path(
    post, path = "/api/v1/dlq/{id}/discard", tag = "failed messages", operation_id = "discard_failed_message",
    params(("id" = i64, Path, description = "The failed message's number", minimum = 1), Which),
    responses(
        (status = 202, body = ActionResultView),
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
    act(app, caller, id, which, ActWord::Discard).await
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
        (status = 202, body = ActionResultView),
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
    act(app, caller, id, which, ActWord::Undo).await
}
