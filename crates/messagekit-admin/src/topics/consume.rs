//! `POST /v1/api/topics/consume`.

use axum::extract::State;
use axum::{Extension, Json};
use messagekit::Shutdown;
use messagekit_wire::{Consume, ConsumeAnswer};

use super::body::Body;
use super::served::topics;
use crate::app::App;
use crate::caller::Caller;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The longest wait of a request: less than what a request may take.
const MAX_WAIT: u64 = 25;

/// Returns a request as the database gets it. A reader without a group has one partition, because an answer has one next offset.
fn request(mut request: Consume) -> Consume {
    request.group_id = request.group_id.filter(|group| !group.trim().is_empty());
    if request.group_id.is_none() {
        request.partition_id.get_or_insert(0);
    }
    request.timeout_seconds = request.timeout_seconds.map(|seconds| seconds.min(MAX_WAIT));
    request
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
    let request = request(consume);
    let topics = topics(&app, &which)?;
    let consumed = topics.consume(&request, shutdown.map(|Extension(shutdown)| shutdown));
    let consumed = app.group_names.using(&caller.name, request.group_id.as_deref(), consumed).await?;
    consumed.map(Json).map_err(|error| Failure::of(&error))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_wait_is_capped_below_the_time_of_a_request() {
        for (asked, waits) in
            [(json!(null), None), (json!(7), Some(7)), (json!(26), Some(25)), (json!(u64::MAX), Some(25))]
        {
            let body = json!({"topic_id": "shop.orders", "timeout_seconds": asked});
            let request = request(serde_json::from_value(body).unwrap());
            assert_eq!(request.timeout_seconds, waits, "{asked}");
        }
    }
}
