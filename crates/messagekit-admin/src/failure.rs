//! The form of an error on the paths of topics.

use axum::extract::Request;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use messagekit::ErrorKind;
use messagekit_topics::Error;

use crate::problem::{Problem, cure, is_away, unwell};

/// Where the paths begin whose errors have this form.
const PREFIX: &str = "/v1/api/";

/// An error response with its status.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    body: Box<messagekit_wire::Failure>,
    status: StatusCode,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, code: &str, error: impl Into<String>) -> Self {
        let (error, code) = (error.into(), code.to_owned());
        let body = messagekit_wire::Failure { error, code, ..messagekit_wire::Failure::default() };
        Self { body: Box::new(body), status }
    }

    pub(crate) fn bad_request(error: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", error)
    }

    pub(crate) fn not_found(error: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "NOT_FOUND", error)
    }

    pub(crate) fn forbidden(error: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "FORBIDDEN", error)
    }

    /// Returns its status, its code and its text.
    pub(crate) fn into_parts(self) -> (StatusCode, String, String) {
        (self.status, self.body.code, self.body.error)
    }

    /// Converts an error of the topics. What a client can do nothing about is for the log.
    pub(crate) fn of(error: &Error) -> Self {
        let text = error.to_string();
        let number = |name| error.context(name).and_then(|value| value.parse().ok());
        match error.kind() {
            ErrorKind::NotFound => Self::not_found(text),
            ErrorKind::ClaimLost => Self::new(StatusCode::CONFLICT, "CLAIM_LOST", text),
            ErrorKind::WrongState => Self::new(StatusCode::CONFLICT, "CONFLICT", text),
            ErrorKind::Duplicate => {
                let mut failure = Self::new(StatusCode::CONFLICT, "DUPLICATE", text);
                failure.body.existing_id = error.duplicate().map(|duplicate| duplicate.existing);
                failure
            }
            ErrorKind::OutOfRange => {
                let mut failure = Self::new(StatusCode::RANGE_NOT_SATISFIABLE, "OFFSET_OUT_OF_RANGE", text);
                let partition = number("partition").and_then(|number: i64| i32::try_from(number).ok());
                failure.body.partition_id = partition;
                (failure.body.earliest, failure.body.next) = (number("earliest"), number("end"));
                failure
            }
            ErrorKind::InvalidEvent | ErrorKind::SchemaMismatch => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "INVALID_RECORD", text)
            }
            ErrorKind::TooLarge => Self::new(StatusCode::PAYLOAD_TOO_LARGE, "TOO_LARGE", text),
            ErrorKind::InvalidConfiguration => Self::bad_request(text),
            kind if is_away(kind) => {
                tracing::warn!(error = %messagekit::chain(error), "database does not answer");
                let text = format!("database {}: try again", unwell(kind));
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "UNAVAILABLE", text)
            }
            kind => {
                tracing::error!(error = %messagekit::chain(error), "database refused a request about topics");
                let text = format!("database {}: {}", unwell(kind), cure(kind));
                Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR", text)
            }
        }
    }
}

impl From<Problem> for Failure {
    fn from(problem: Problem) -> Self {
        let (status, detail) = problem.into_parts();
        let code = match status {
            StatusCode::GATEWAY_TIMEOUT => "TIMEOUT".to_owned(),
            StatusCode::SERVICE_UNAVAILABLE => "UNAVAILABLE".to_owned(),
            StatusCode::INTERNAL_SERVER_ERROR => "INTERNAL_ERROR".to_owned(),
            status => {
                status.canonical_reason().unwrap_or("Error").to_ascii_uppercase().replace([' ', '-'], "_")
            }
        };
        Self::new(status, &code, detail)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, axum::Json(self.body)).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

/// Writes the problems that any layer answers on these paths in their form.
pub(crate) async fn in_own_form(request: Request, next: Next) -> Response {
    let is_own = request.uri().path().starts_with(PREFIX);
    let mut response = next.run(request).await;
    match response.extensions_mut().remove::<Problem>() {
        Some(problem) if is_own => {
            let allow = response.headers().get(header::ALLOW).cloned();
            let mut own = Failure::from(problem).into_response();
            if let Some(allow) = allow {
                own.headers_mut().insert(header::ALLOW, allow);
            }
            own
        }
        _ => response,
    }
}
