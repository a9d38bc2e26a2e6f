//! Actions on events that the broker rejected.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use messagekit::relay::RejectedAction;
use messagekit::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{NoBody, Number};
use crate::caller::Caller;
use crate::database::Which;
use crate::parameters::Query;
use crate::problem::Problem;

/// The result of an action.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedAnswer {
    database: String,
    id: i64,
    /// The number of events that it returned to the outbox.
    back: u64,
}

type Answer = Result<(StatusCode, Json<RejectedAnswer>), Problem>;

async fn act(app: App, caller: Caller, id: i64, which: Which, action: RejectedAction) -> Answer {
    let database = app.databases.one(which.database.as_deref())?;
    let Some(events) = database.store.rejected_events() else {
        let error =
            Error::new(ErrorKind::NotFound, "no event of this number was set aside: there is no relay");
        return Err(Problem::of(&database.name, &error.with("id", id)));
    };
    let back = database.act(events.act_on_rejected(action, id, &caller.operator())).await?;
    let answer = RejectedAnswer { database: database.name.to_string(), id, back };
    Ok((StatusCode::ACCEPTED, Json(answer)))
}

/// Put a rejected event back into the outbox, with everything of its topic and key, in order
///
/// The relay publishes them next. The admin does not know whether a relay runs, or whether the broker accepts them
/// now: an event that the broker rejects again returns to this list.
#[utoipa::path(
    post, path = "/api/v1/outbox/rejected/{id}/retry", tag = "rejected events", operation_id = "retry_rejected",
    params(("id" = i64, Path, description = "The event's number", minimum = 1), Which),
    responses(
        (status = 202, body = RejectedAnswer),
        (status = 404, description = "No such event", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn retry(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Answer {
    act(app, caller, id, which, RejectedAction::Retry).await
}

/// Give a rejected event up: it is never published, and the later events of its key continue
#[utoipa::path(
    post, path = "/api/v1/outbox/rejected/{id}/discard", tag = "rejected events", operation_id = "discard_rejected",
    params(("id" = i64, Path, description = "The event's number", minimum = 1), Which),
    responses(
        (status = 202, body = RejectedAnswer),
        (status = 404, description = "No such event", body = Problem, content_type = "application/problem+json"),
        (status = 409, description = "It only waits behind another one", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn discard(
    State(app): State<App>,
    caller: Caller,
    _none: NoBody,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Answer {
    act(app, caller, id, which, RejectedAction::Discard).await
}
