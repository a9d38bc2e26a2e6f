//! `POST /v1/api/topics/consume`.

use std::time::Duration;

use axum::extract::State;
use axum::{Extension, Json};
use messagekit::Shutdown;
use messagekit::log::{OnDeleted, PartitionStart};
use messagekit_topics::operations::{ConsumeRequest, Consumed};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::Body;
use super::message::TopicMessage;
use super::served::topics;
use crate::app::App;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The longest wait of a request: less than what a request may take.
const MAX_WAIT: u64 = 25;

/// The longest lease that a client may ask for: a day.
const MAX_LEASE: u64 = 24 * 60 * 60;

/// A request for records.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Consume {
    topic_id: String,
    /// The group for which records are claimed; without one, or with an empty one, they are only read.
    group_id: Option<String>,
    /// `Latest`, `Earliest` or `{"Offset": n}`: where to read, or where a group begins that has not read the topic. Without it, `Latest`.
    #[schema(value_type = Option<Object>)]
    start: Option<StartWord>,
    /// The most records: 100 by default, from 1 to 1,000.
    limit: Option<u32>,
    /// Only records of this partition. Without it a group claims from all of them, and a reader has those of partition 0.
    partition_id: Option<i32>,
    /// How long to wait while there are no records, at most 25.
    timeout_seconds: Option<u64>,
    /// How long the records belong to the caller; 60 by default.
    lease_seconds: Option<u64>,
    /// Where a group goes on whose next records were deleted: `earliest` by default, `latest`, or `fail`.
    on_deleted: Option<OnDeletedWord>,
}

#[derive(Clone, Copy, Debug)]
struct StartWord(PartitionStart);

impl<'de> Deserialize<'de> for StartWord {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let word = |name: &str| value.as_str().is_some_and(|word| word.eq_ignore_ascii_case(name));
        let offset = value.as_object().filter(|fields| fields.len() == 1).and_then(|fields| {
            let (name, value) = fields.iter().next()?;
            name.eq_ignore_ascii_case("offset").then(|| value.as_i64())?.filter(|offset| *offset >= 0)
        });
        match (word("latest"), word("earliest"), offset) {
            (true, ..) => Ok(Self(PartitionStart::End)),
            (_, true, _) => Ok(Self(PartitionStart::Earliest)),
            (.., Some(offset)) => Ok(Self(PartitionStart::Offset(offset))),
            _ => {
                Err(serde::de::Error::custom("start is none of \"Latest\", \"Earliest\" and {\"Offset\": n}"))
            }
        }
    }
}

#[derive(Clone, Copy, Debug, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum OnDeletedWord {
    Earliest,
    Latest,
    Fail,
}

/// Records, and how to go on.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ConsumeAnswer {
    messages: Vec<TopicMessage>,
    /// Behind the last record; without one where the reader stands.
    next_offset: Option<i64>,
    /// There may be more records now.
    has_more: bool,
    /// The claim that holds the records of a group.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    claim_id: Option<String>,
    /// The end of its lease, in milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    lease_until_ms: Option<i64>,
    /// Records that were deleted before the group settled them.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    deleted: Vec<Deleted>,
}

/// Offsets that were deleted before a group settled them.
#[derive(Debug, Serialize, ToSchema)]
struct Deleted {
    partition_id: i32,
    from: i64,
    /// The first offset behind them.
    to: i64,
}

impl Consume {
    fn request(self) -> Result<ConsumeRequest, Failure> {
        let group = self.group_id.filter(|group| !group.trim().is_empty());
        let mut request = ConsumeRequest::of(self.topic_id).limit(self.limit.unwrap_or(100));
        request.start = self.start.map_or(PartitionStart::End, |start| start.0);
        request.partition = match (self.partition_id, &group) {
            (None, None) => Some(0),
            (partition, _) => partition,
        };
        request.group = group.map(Into::into);
        request.wait = Duration::from_secs(self.timeout_seconds.unwrap_or(0).min(MAX_WAIT));
        if let Some(lease) = self.lease_seconds {
            request.lease = lease_of(lease)?;
        }
        request.on_deleted = match self.on_deleted {
            None | Some(OnDeletedWord::Earliest) => OnDeleted::Earliest,
            Some(OnDeletedWord::Latest) => OnDeleted::Latest,
            Some(OnDeletedWord::Fail) => OnDeleted::Fail,
        };
        Ok(request)
    }
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
        (status = 404, description = "No such topic or partition", body = Failure),
        (status = 416, description = "The records at this offset were deleted", body = Failure)
    )
)]
pub(super) async fn consume(
    State(app): State<App>,
    Query(which): Query<Which>,
    shutdown: Option<Extension<Shutdown>>,
    Body(consume): Body<Consume>,
) -> Result<Json<ConsumeAnswer>, Failure> {
    let mut request = consume.request()?;
    request.shutdown = shutdown.map(|Extension(shutdown)| shutdown);
    let consumed = topics(&app, &which)?.consume(&request).await.map_err(|error| Failure::of(&error))?;
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
        messages: consumed.records.into_iter().map(TopicMessage::from).collect(),
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
            let request = serde_json::from_value::<Consume>(body).unwrap().request().unwrap();
            assert_eq!(request.wait, Duration::from_secs(waits), "{asked}");
        }
    }
}
