//! `POST /v1/api/topics/ack`, `nack` and `extend`.

use axum::Json;
use axum::extract::State;
use messagekit_wire::{Acknowledge, Acknowledged, Done, Extend, Extended, GiveBack};

use super::body::Body;
use super::served::topics;
use crate::app::App;
use crate::caller::Caller;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// Acknowledge records
///
/// What another claim holds stays with it: a prefix ends where the first record is not finished.
#[utoipa::path(
    post, path = "/v1/api/topics/ack", tag = "topics", operation_id = "acknowledge_records",
    params(Which), request_body = Acknowledge,
    responses(
        (status = 200, body = Acknowledged),
        (status = 404, description = "No such topic or partition", body = messagekit_wire::Failure),
        (status = 409, description = "The claim holds these records no longer: undo their effects", body = messagekit_wire::Failure),
        (status = 416, description = "There is no record at this offset yet", body = messagekit_wire::Failure),
        (status = 403, description = "The token has used 1,000 groups", body = messagekit_wire::Failure)
    )
)]
pub(super) async fn acknowledge(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<Which>,
    Body(body): Body<Acknowledge>,
) -> Result<Json<Acknowledged>, Failure> {
    let topics = topics(&app, &which)?;
    let acknowledged = topics.acknowledge(&body);
    let acknowledged = match (&body.claim_id, body.upto_offset) {
        (None, Some(_)) => app.group_names.using(&caller.name, Some(&body.group_id), acknowledged).await?,
        _ => acknowledged.await,
    };
    acknowledged.map(Json).map_err(|error| Failure::of(&error))
}

/// Give records back
///
/// They may be claimed again after the delay. A record whose attempts are used up becomes a failed message of the group.
#[utoipa::path(
    post, path = "/v1/api/topics/nack", tag = "topics", operation_id = "give_records_back",
    params(Which), request_body = GiveBack,
    responses(
        (status = 200, body = Done),
        (status = 404, description = "No such topic or partition", body = messagekit_wire::Failure),
        (status = 409, description = "The claim holds these records no longer", body = messagekit_wire::Failure)
    )
)]
pub(super) async fn give_back(
    State(app): State<App>,
    Query(which): Query<Which>,
    Body(body): Body<GiveBack>,
) -> Result<Json<Done>, Failure> {
    let given_back = topics(&app, &which)?.give_back(&body).await;
    given_back.map(Json).map_err(|error| Failure::of(&error))
}

/// Extend a claim
#[utoipa::path(
    post, path = "/v1/api/topics/extend", tag = "topics", operation_id = "extend_claim",
    params(Which), request_body = Extend,
    responses(
        (status = 200, body = Extended),
        (status = 404, description = "No such topic or partition", body = messagekit_wire::Failure),
        (status = 409, description = "The claim holds nothing any more", body = messagekit_wire::Failure)
    )
)]
pub(super) async fn extend(
    State(app): State<App>,
    Query(which): Query<Which>,
    Body(body): Body<Extend>,
) -> Result<Json<Extended>, Failure> {
    let extended = topics(&app, &which)?.extend(&body).await;
    extended.map(Json).map_err(|error| Failure::of(&error))
}
