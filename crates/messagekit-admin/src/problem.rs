//! Error responses.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use messagekit::{ErrorKind, chain};
use serde::Serialize;
use utoipa::ToSchema;

/// An error response in the form of RFC 9457. It never repeats input.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub(crate) struct Problem {
    /// The status in words.
    title: &'static str,
    /// The status of the answer.
    status: u16,
    /// The error, and its cure.
    detail: String,
    /// The current number of selected failed messages or events, if it differs from the confirmed one.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    count: Option<u64>,
    /// What is not shown to a caller over HTTP.
    #[serde(skip)]
    #[schema(ignore)]
    cause: Option<messagekit::Error>,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        let title = status.canonical_reason().unwrap_or("Error");
        Self { title, status: status.as_u16(), detail: detail.into(), count: None, cause: None }
    }

    pub(crate) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    pub(crate) fn refused(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, detail)
    }

    pub(crate) fn changed(count: u64) -> Self {
        let detail = "what was chosen has changed since it was counted: look again, then send the new count";
        Self { count: Some(count), ..Self::new(StatusCode::CONFLICT, detail) }
    }

    /// Adds the current number of selected failed messages.
    pub(crate) fn counting(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }

    /// Adds more details.
    pub(crate) fn and(mut self, more: &str) -> Self {
        self.detail.push_str("; ");
        self.detail.push_str(more);
        self
    }

    pub(crate) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
    }

    /// Returns its status and its text.
    pub(crate) fn into_parts(self) -> (StatusCode, String) {
        (StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), self.detail)
    }

    /// Converts the problem for a program without HTTP, which has no log to look into.
    pub(crate) fn into_error(self) -> messagekit::Error {
        if let Some(cause) = self.cause {
            return cause;
        }
        let kind = match self.status {
            400 | 422 => ErrorKind::InvalidConfiguration,
            404 => ErrorKind::NotFound,
            409 => ErrorKind::WrongState,
            503 | 504 => ErrorKind::Unavailable,
            _ => ErrorKind::Other,
        };
        messagekit::Error::new(kind, self.detail)
    }

    /// Converts an error of a database. Only texts of this crate are shown; the rest is for the log.
    pub(crate) fn of(database: &str, error: &messagekit::Error) -> Self {
        match error.kind() {
            ErrorKind::NotFound => Self::new(StatusCode::NOT_FOUND, error.to_string()),
            ErrorKind::WrongState => Self::new(StatusCode::CONFLICT, error.to_string()),
            ErrorKind::OutOfRange => Self::refused(error.to_string()),
            kind if is_away(kind) => {
                tracing::warn!(database, error = %chain(error), "database does not answer");
                Self::unavailable(format!("database {database} {}: try again", unwell(kind)))
            }
            kind => {
                tracing::error!(database, error = %chain(error), "database refused a request");
                let text = format!("database {database} {}", unwell(kind));
                let detail = format!("{text}: {}", cure(kind));
                let cause = Some(messagekit::Error::new(ErrorKind::Other, text).caused_by(error.clone()));
                Self { cause, ..Self::new(StatusCode::INTERNAL_SERVER_ERROR, detail) }
            }
        }
    }
}

/// Describes the fault of a database without exposing details.
pub(crate) fn unwell(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Unavailable => "does not answer",
        ErrorKind::Schema => "lacks the tables of this program",
        ErrorKind::Closed => "was closed",
        kind if kind.is_transient() => "is busy",
        _ => "answers with an error",
    }
}

/// Returns whether a fault of a database passes: it is away, slow or closed.
pub(crate) fn is_away(kind: ErrorKind) -> bool {
    kind.is_transient() || kind == ErrorKind::Closed
}

/// Returns what to do about the fault of a database that does not pass.
pub(crate) fn cure(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Schema => {
            "run `messagekit migrate --database …` with its URL; if that refuses newer tables, upgrade this program (the log has \
             more under the id in header x-request-id)"
        }
        _ => "the log has more under the id in header x-request-id",
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let own = self.clone();
        let mut response = (status, axum::Json(self)).into_response();
        // Some paths write it in a form of their own.
        response.extensions_mut().insert(own);
        let problem = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}
