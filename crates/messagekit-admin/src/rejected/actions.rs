//! Actions on events that the broker rejected.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use messagekit::relay::RejectedEvents;
use messagekit::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::{NoBody, Number};
use crate::caller::Caller;
use crate::database::{Database, Which};
use crate::parameters::Query;
use crate::problem::Problem;

/// The result of an action.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MendedView {
    database: String,
    id: i64,
    /// The number of events that it returned to the outbox.
    back: u64,
}

type Answer = Result<(StatusCode, Json<MendedView>), Problem>;

/// Returns the store's rejected events.
fn rejected(database: &Database, id: i64) -> Result<&dyn RejectedEvents, Problem> {
    database.store.rejected_events().ok_or_else(|| {
        let error =
            Error::new(ErrorKind::NotFound, "no event of this number was set aside: there is no relay");
        Problem::of(&database.name, &error.with("id", id))
    })
}

fn answer(database: &Database, id: i64, back: u64) -> (StatusCode, Json<MendedView>) {
    let view = MendedView { database: database.name.to_string(), id, back };
    (StatusCode::ACCEPTED, Json(view))
}

/// Put a rejected event back into the outbox, with everything of its topic and key, in order
///
/// The relay publishes them next. The admin does not know whether a relay runs, or whether the broker accepts them
/// now: an event that the broker rejects again returns to this list.
#[utoipa::path(
    post, path = "/api/v1/outbox/rejected/{id}/retry", tag = "rejected events", operation_id = "retry_rejected",
    params(("id" = i64, Path, description = "The event's number", minimum = 1), Which),
    responses(
        (status = 202, body = MendedView),
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
    let database = app.databases.one(which.database.as_deref())?;
    let back = database.act(rejected(database, id)?.retry_rejected(id, &caller.operator())).await?;
    Ok(answer(database, id, back))
}

/// Give a rejected event up: it is never published, and the later events of its key continue
#[utoipa::path(
    post, path = "/api/v1/outbox/rejected/{id}/discard", tag = "rejected events", operation_id = "discard_rejected",
    params(("id" = i64, Path, description = "The event's number", minimum = 1), Which),
    responses(
        (status = 202, body = MendedView),
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
    let database = app.databases.one(which.database.as_deref())?;
    let back = database.act(rejected(database, id)?.discard_rejected(id, &caller.operator())).await?;
    Ok(answer(database, id, back))
}
