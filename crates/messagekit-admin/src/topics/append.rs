//! `POST /v1/api/topics/append`.

use axum::Json;
use axum::extract::State;
use messagekit_wire::{Append, Appended};

use super::body::Body;
use super::served::topics;
use crate::app::App;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The most records of one request.
const MAX_RECORDS: usize = 1_000;

/// Append records
///
/// All of them, or, when one is refused, none.
#[utoipa::path(
    post, path = "/v1/api/topics/append", tag = "topics", operation_id = "append_records",
    params(Which), request_body = Append,
    responses(
        (status = 200, body = Appended),
        (status = 404, description = "No such topic", body = messagekit_wire::Failure),
        (status = 409, description = "The topic has a record with the same dedup fields", body = messagekit_wire::Failure)
    )
)]
pub(super) async fn append(
    State(app): State<App>,
    Query(which): Query<Which>,
    Body(body): Body<Append>,
) -> Result<Json<Appended>, Failure> {
    if body.records.as_ref().is_some_and(|records| records.len() > MAX_RECORDS) {
        return Err(Failure::bad_request(format!("more than {MAX_RECORDS} records")));
    }
    let appended = topics(&app, &which)?.append(&body).await;
    appended.map(Json).map_err(|error| Failure::of(&error))
}
