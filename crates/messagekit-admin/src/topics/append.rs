//! `POST /v1/api/topics/append`.

use axum::Json;
use axum::extract::State;
use messagekit_topics::IfNew;
use messagekit_topics::operations::OnDuplicateRecord;
use messagekit_wire::{Append, Appended, AppendedRecord};

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
