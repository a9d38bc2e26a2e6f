//! `POST /v1/api/topics/consume`.

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use messagekit::Shutdown;
use messagekit::log;
use messagekit_topics::operations::{ConsumeRequest, Consumed};
use messagekit_wire::{Consume, ConsumeAnswer, Deleted, OnDeleted, Start};

use super::body::Body;
use super::message::message;
use super::served::topics;
use crate::app::App;
use crate::caller::Caller;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The longest wait of a request: less than what a request may take.
const MAX_WAIT: u64 = 25;

/// The longest lease that a client may ask for: a day.
const MAX_LEASE: u64 = 24 * 60 * 60;

fn request(body: Consume) -> Result<ConsumeRequest, Failure> {
    let group = body.group_id.filter(|group| !group.trim().is_empty());
    let mut request = ConsumeRequest::of(body.topic_id).limit(body.limit.unwrap_or(100));
    request.start = match body.start {
        None | Some(Start::Latest) => log::PartitionStart::End,
        Some(Start::Earliest) => log::PartitionStart::Earliest,
        Some(Start::Offset(offset)) => log::PartitionStart::Offset(offset),
    };
    request.partition = match (body.partition_id, &group) {
        (None, None) => Some(0),
        (partition, _) => partition,
    };
    request.group = group.map(Into::into);
    request.wait = Duration::from_secs(body.timeout_seconds.unwrap_or(0).min(MAX_WAIT));
    if let Some(lease) = body.lease_seconds {
        request.lease = lease_of(lease)?;
    }
    request.on_deleted = match body.on_deleted.unwrap_or_default() {
        OnDeleted::Earliest => log::OnDeleted::Earliest,
        OnDeleted::Latest => log::OnDeleted::Latest,
        OnDeleted::Fail => log::OnDeleted::Fail,
    };
    Ok(request)
}

/// Returns a lease that a client asks for.
pub(super) fn lease_of(seconds: u64) -> Result<Duration, Failure> {
    if (1..=MAX_LEASE).contains(&seconds) {
        return Ok(Duration::from_secs(seconds));
    }
    Err(Failure::bad_request(format!("lease_seconds is not from 1 to {MAX_LEASE}")))
}

/// Consume records
///
/// Records of a group are claimed: until the lease ends, only the caller may acknowledge them, give them back or extend the lease. It does not
/// acknowledge them.
#[utoipa::path(
    post, path = "/v1/api/topics/consume", tag = "topics", operation_id = "consume_records",
    params(Which), request_body = Consume,
    responses(
        (status = 200, body = ConsumeAnswer),
        (status = 404, description = "No such topic or partition", body = messagekit_wire::Failure),
        (status = 416, description = "The records at this offset were deleted", body = messagekit_wire::Failure),
        (status = 403, description = "The token has used 1,000 groups", body = messagekit_wire::Failure)
    )
)]
pub(super) async fn consume(
    State(app): State<App>,
    caller: Caller,
    Query(which): Query<Which>,
    shutdown: Option<Extension<Shutdown>>,
    Body(consume): Body<Consume>,
) -> Result<Json<ConsumeAnswer>, Failure> {
    let mut request = request(consume)?;
    request.shutdown = shutdown.map(|Extension(shutdown)| shutdown);
    let topics = topics(&app, &which)?;
    let consumed = topics.consume(&request);
    let consumed = app.group_names.using(&caller.name, request.group.as_deref(), consumed).await?;
    let consumed = consumed.map_err(|error| Failure::of(&error))?;
    Ok(Json(answer(consumed)))
}

fn answer(consumed: Consumed) -> ConsumeAnswer {
    let last = consumed.records.last().map(|record| record.offset + 1);
    let deleted = consumed.deleted.into_iter().map(|(partition_id, offsets)| Deleted {
        partition_id,
        from: offsets.start,
        to: offsets.end,
    });
    ConsumeAnswer {
        next_offset: last.or(consumed.next.first().map(|(_, next)| *next)),
        messages: consumed.records.into_iter().map(message).collect(),
        has_more: consumed.has_more,
        lease_until_ms: consumed.claim.as_ref().map(|claim| claim.until.as_millisecond()),
        claim_id: consumed.claim.map(|claim| claim.id.to_string()),
        deleted: deleted.collect(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wait_is_capped_below_the_time_of_a_request() {
        for (asked, waits) in [(json!(null), 0), (json!(7), 7), (json!(26), 25), (json!(u64::MAX), 25)] {
            let body = json!({"topic_id": "shop.orders", "timeout_seconds": asked});
            let request = request(serde_json::from_value(body).unwrap()).unwrap();
            assert_eq!(request.wait, Duration::from_secs(waits), "{asked}");
        }
    }
}
