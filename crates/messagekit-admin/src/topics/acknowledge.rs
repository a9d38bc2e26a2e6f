//! `POST /v1/api/topics/ack`, `nack` and `extend`.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use messagekit::log::RecordClaimId;
use messagekit_topics::operations::{ClaimedOffsets, Settle};
use messagekit_wire::{Acknowledge, Acknowledged, Done, Extend, Extended, GiveBack};

use super::body::Body;
use super::consume::lease_of;
use super::served::topics;
use crate::app::App;
use crate::caller::Caller;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The most offsets of one request.
const MAX_OFFSETS: usize = 1_000;

/// The most bytes of the id of a claim.
const MAX_CLAIM: usize = 100;

/// The longest delay of records that are given back: a week.
const MAX_DELAY: u64 = 7 * 24 * 60 * 60;

/// The most bytes of an error that is kept.
const MAX_ERROR: usize = 1_000;

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
    let next = match (body.claim_id, body.upto_offset) {
        (None, Some(offset)) if body.offsets.is_none() => {
            let acked = topics.acknowledge_up_to(&body.topic_id, &body.group_id, body.partition_id, offset);
            app.group_names.using(&caller.name, Some(&body.group_id), acked).await?
        }
        (None, Some(_)) => return Err(exclusive()),
        (None, None) => return Err(Failure::bad_request("ack has neither claim_id nor upto_offset")),
        (Some(id), up_to) => {
            let offsets = offsets(up_to, body.offsets)?;
            let settle = Settle {
                offsets,
                ..Settle::all(body.topic_id, body.group_id, body.partition_id, claim(id)?)
            };
            topics.acknowledge(&settle).await
        }
    };
    let next = next.map_err(|error| Failure::of(&error))?;
    Ok(Json(Acknowledged { success: true, acknowledged_offset: (next > 0).then(|| next - 1) }))
}

fn exclusive() -> Failure {
    Failure::bad_request("upto_offset and offsets exclude each other")
}

/// Errors name the claim: what cannot be the id of one is not repeated.
fn claim(id: String) -> Result<RecordClaimId, Failure> {
    let is_usual = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if id.len() <= MAX_CLAIM && id.bytes().all(is_usual) {
        return Ok(RecordClaimId::from_text(id));
    }
    let text = "claim_id is not the id of a claim: send that of the answer which had the records";
    Err(Failure::new(StatusCode::CONFLICT, "CLAIM_LOST", text))
}

fn offsets(up_to: Option<i64>, offsets: Option<Vec<i64>>) -> Result<ClaimedOffsets, Failure> {
    match (up_to, offsets) {
        (Some(_), Some(_)) => Err(exclusive()),
        (_, Some(offsets)) if offsets.len() > MAX_OFFSETS => {
            Err(Failure::bad_request(format!("offsets has more than {MAX_OFFSETS} numbers")))
        }
        (_, Some(offsets)) if offsets.is_empty() => Err(Failure::bad_request("offsets is empty")),
        (Some(offset), None) => Ok(ClaimedOffsets::UpTo(offset)),
        (None, Some(offsets)) => Ok(ClaimedOffsets::These(offsets)),
        (None, None) => Ok(ClaimedOffsets::All),
    }
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
    if body.delay_seconds > MAX_DELAY {
        return Err(Failure::bad_request(format!("delay_seconds is more than {MAX_DELAY}")));
    }
    if !body.tried && (body.delay_seconds > 0 || body.error.is_some()) {
        return Err(Failure::bad_request("records that were not tried have neither delay_seconds nor error"));
    }
    let error = body.error.unwrap_or_else(|| "the client gave it back".to_owned());
    let settle = Settle {
        offsets: offsets(body.upto_offset, body.offsets)?,
        ..Settle::all(body.topic_id, body.group_id, body.partition_id, claim(body.claim_id)?)
    };
    let (topics, delay) = (topics(&app, &which)?, Duration::from_secs(body.delay_seconds));
    let given = if body.tried {
        topics.give_back(&settle, delay, &shortened(&error)).await
    } else {
        topics.release(&settle).await
    };
    given.map_err(|error| Failure::of(&error))?;
    Ok(Json(Done { success: true }))
}

fn shortened(error: &str) -> String {
    let mut end = error.len().min(MAX_ERROR);
    while !error.is_char_boundary(end) {
        end -= 1;
    }
    error[..end].replace('\0', " ")
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
    let claim = claim(body.claim_id)?;
    let mut settle = Settle::all(body.topic_id, body.group_id, body.partition_id, claim);
    if let Some(lease) = body.lease_seconds {
        settle.lease = lease_of(lease)?;
    }
    let until = topics(&app, &which)?.extend(&settle).await.map_err(|error| Failure::of(&error))?;
    Ok(Json(Extended { success: true, lease_until_ms: until.as_millisecond() }))
}
