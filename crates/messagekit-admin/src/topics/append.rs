//! `POST /v1/api/topics/append`.

use axum::Json;
use axum::extract::State;
use messagekit_topics::IfNew;
use messagekit_topics::operations::OnDuplicateRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::ToSchema;

use super::body::Body;
use super::served::topics;
use crate::app::App;
use crate::database::Which;
use crate::failure::Failure;
use crate::parameters::Query;

/// The most records of one request.
const MAX_RECORDS: usize = 1_000;

/// Records for a topic.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Append {
    topic_id: String,
    /// One record: a JSON object that fits the schema of the topic.
    #[schema(value_type = Option<Object>)]
    data: Option<Value>,
    /// Or several, which are appended together.
    #[schema(value_type = Option<Vec<Object>>)]
    records: Option<Vec<Value>>,
    /// A record whose dedup fields the topic knows is left out, and not refused.
    #[serde(default)]
    if_new: bool,
}

/// What became of the records.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Appended {
    success: bool,
    /// Of a single record: its id, or that of the record that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    id: Option<i64>,
    /// Of a single record: the topic has it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    duplicate: Option<bool>,
    /// Of several records: what became of each.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    records: Option<Vec<AppendedRecord>>,
}

/// What became of a record.
#[derive(Debug, Serialize, ToSchema)]
struct AppendedRecord {
    id: i64,
    duplicate: bool,
}

/// Append records
///
/// All of them, or, when one is refused, none.
#[utoipa::path(
    post, path = "/v1/api/topics/append", tag = "topics", operation_id = "append_records",
    params(Which), request_body = Append,
    responses(
        (status = 200, body = Appended),
        (status = 404, description = "No such topic", body = Failure),
        (status = 409, description = "The topic has a record with the same dedup fields", body = Failure)
    )
)]
pub(super) async fn append(
    State(app): State<App>,
    Query(which): Query<Which>,
    Body(body): Body<Append>,
) -> Result<Json<Appended>, Failure> {
    let (records, is_one) = match (body.data, body.records) {
        (Some(data), None) => (vec![data], true),
        (None, Some(records)) if records.len() <= MAX_RECORDS => (records, false),
        (None, Some(_)) => return Err(Failure::bad_request(format!("more than {MAX_RECORDS} records"))),
        _ => return Err(Failure::bad_request("append has not one of data and records")),
    };
    let on_duplicate = if body.if_new { OnDuplicateRecord::Skip } else { OnDuplicateRecord::Refuse };
    let answers = topics(&app, &which)?.append(&body.topic_id, &records, on_duplicate).await;
    let answers = answers.map_err(|error| Failure::of(&error))?;
    let records: Vec<AppendedRecord> = answers.into_iter().map(record).collect();
    let first = records.first();
    Ok(Json(Appended {
        success: true,
        id: first.filter(|_| is_one).map(|record| record.id),
        duplicate: first.filter(|_| is_one).map(|record| record.duplicate),
        records: (!is_one).then_some(records),
    }))
}

fn record(answer: IfNew) -> AppendedRecord {
    match answer {
        IfNew::Appended(id) => AppendedRecord { id, duplicate: false },
        IfNew::Duplicate(id) => AppendedRecord { id, duplicate: true },
    }
}
