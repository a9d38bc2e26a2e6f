//! One failed message, and its payload for roles that may see it.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use messagekit::Headers;
use messagekit::operations::{ByteText, FailedMessage, FailedMessageHead, FailedRun};
use serde::Serialize;
use utoipa::ToSchema;

use crate::app::App;
use crate::body::Number;
use crate::byte_text::beginning;
use crate::caller::Caller;
use crate::database::Which;
use crate::parameters::Query;
use crate::problem::Problem;
use crate::{InDatabase, Role};

/// The most bytes of a payload in a response; the whole payload is a download.
const PREVIEW: usize = 64 * 1024;

/// A failed message with its message, as far as the caller's role allows.
#[derive(Debug, Serialize, ToSchema)]
pub struct FailedMessageDocument {
    /// Its description.
    pub failed_message: InDatabase<FailedMessageHead>,
    /// Its last failed runs, oldest first, at most 20.
    pub failed_runs: Vec<FailedRun>,
    /// The headers of the message.
    pub headers: Vec<ShownHeader>,
    /// The beginning of the payload; absent for a viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub payload: Option<PayloadPreview>,
}

/// A header of a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct ShownHeader {
    /// Its name.
    pub name: String,
    /// Its value; absent for a viewer.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub value: Option<ByteText>,
}

/// The beginning of a payload.
#[derive(Debug, Serialize, ToSchema)]
pub struct PayloadPreview {
    /// The first bytes.
    pub preview: ByteText,
    /// Whether there is more than the first 64 KiB: `…/payload` has all of it.
    pub truncated: bool,
}

impl ShownHeader {
    /// Returns the headers of a message. `reads` shows their values.
    pub(crate) fn all(headers: &Headers, reads: bool) -> Vec<Self> {
        let shown = headers
            .iter()
            .map(|(name, value)| Self { name: name.to_owned(), value: reads.then(|| ByteText::of(value)) });
        shown.collect()
    }
}

impl FailedMessageDocument {
    /// Returns everything, for a caller that reads the database itself.
    pub fn whole(database: &str, failed_message: FailedMessage) -> Self {
        Self::of(database, failed_message, true, usize::MAX)
    }

    fn of(database: &str, failed_message: FailedMessage, reads: bool, most: usize) -> Self {
        let message = failed_message.received.message;
        Self {
            failed_message: InDatabase::new(database, failed_message.head),
            failed_runs: failed_message.failed_runs,
            headers: ShownHeader::all(&message.headers, reads),
            payload: reads.then(|| PayloadPreview {
                preview: beginning(&message.payload, most),
                truncated: message.payload.len() > most,
            }),
        }
    }
}

/// Show a failed message; header values and payload only to readers and above
#[utoipa::path(
    get, path = "/api/v1/dlq/{id}", tag = "failed messages", operation_id = "show_failed_message",
    params(("id" = i64, Path, description = "The failed message's number", minimum = 1), Which),
    responses((status = 200, body = FailedMessageDocument), (status = 404, description = "No such failed message", body = Problem, content_type = "application/problem+json"))
)]
pub(crate) async fn show(
    State(app): State<App>,
    caller: Caller,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Result<Json<FailedMessageDocument>, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let failed_message = database.ask(database.store.show(id)).await?;
    let reads = caller.role >= Role::Reader;
    Ok(Json(FailedMessageDocument::of(&database.name, failed_message, reads, PREVIEW)))
}

/// Download the payload of a failed message as it was received
#[utoipa::path(
    get, path = "/api/v1/dlq/{id}/payload", tag = "failed messages", operation_id = "failed_message_payload",
    params(("id" = i64, Path, description = "The failed message's number", minimum = 1), Which),
    responses(
        (status = 200, body = Vec<u8>, content_type = "application/octet-stream"),
        (status = 404, description = "No such failed message", body = Problem, content_type = "application/problem+json")
    )
)]
pub(crate) async fn payload(
    State(app): State<App>,
    Number(id): Number,
    Query(which): Query<Which>,
) -> Result<Response, Problem> {
    let database = app.databases.one(which.database.as_deref())?;
    let failed_message = database.ask(database.store.show(id)).await?;
    // The file name is generated: a foreign name could misrepresent the content.
    let attachment = format!("attachment; filename=\"failed-message-{id}.bin\"");
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
        (header::CONTENT_DISPOSITION, attachment),
    ];
    Ok((headers, failed_message.received.message.payload).into_response())
}
