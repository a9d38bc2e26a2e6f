//! An answer that names the problem and its cure, and repeats nothing of the request.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use messagekit::{ErrorKind, chain};
use messagekit_postgres::Error;
use serde::Serialize;

/// A problem in the form of RFC 9457.
#[derive(Debug, Serialize)]
pub(crate) struct Problem {
    status: u16,
    detail: &'static str,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, detail: &'static str) -> Self {
        Self { status: status.as_u16(), detail }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        (status, [(header::CONTENT_TYPE, "application/problem+json")], Json(self)).into_response()
    }
}

/// The framework's own text quotes the request, so only its status is kept.
impl From<JsonRejection> for Problem {
    fn from(rejection: JsonRejection) -> Self {
        let detail = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "an order has at most 16384 bytes",
            StatusCode::UNSUPPORTED_MEDIA_TYPE => "an order comes with content-type: application/json",
            StatusCode::UNPROCESSABLE_ENTITY => {
                "an order has order_id, customer (or null), country and pence (a whole number), and nothing else"
            }
            _ => "the body is not JSON",
        };
        Self::new(rejection.status(), detail)
    }
}

/// The caller learns whether a retry is useful; the log holds the reason.
impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        let error_text = chain(&error);
        if error.kind() == ErrorKind::OutcomeUnknown {
            tracing::warn!(error = error_text, "an order's commit has no answer");
            let detail = "nobody knows whether the order is placed: send it again with the same order_id; 409 means it is";
            Self::new(StatusCode::SERVICE_UNAVAILABLE, detail)
        } else if error.is_transient() {
            tracing::warn!(error = error_text, "the database could not serve a request");
            Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "nothing was written: the database is away or busy, try again later",
            )
        } else {
            tracing::error!(error = error_text, "the database refused a request");
            Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "nothing was written: the log of the service says why",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::extract::FromRequest;
    use axum::http::Request;

    use super::*;
    use crate::order::Order;

    fn failure(kind: ErrorKind) -> Error {
        messagekit::Error::new(kind, "a statement").into()
    }

    /// Returns the answer of the service to a body.
    async fn answer(content_type: &str, body: &'static str) -> (u16, String) {
        let request =
            Request::post("/orders").header(header::CONTENT_TYPE, content_type).body(Body::from(body));
        let order = Json::<Order>::from_request(request.expect("a request"), &()).await;
        let response = Problem::from(order.expect_err("not an order")).into_response();
        let status = response.status().as_u16();
        let text = to_bytes(response.into_body(), 1_000).await.expect("an answer is short");
        (status, String::from_utf8(text.into()).expect("answers are text"))
    }

    #[tokio::test]
    async fn what_is_not_an_order_is_refused_without_being_repeated() {
        let json = "application/json";
        let cases = [
            (400, json, "sesame"),
            (422, json, r#"{"order_id":"1","customer":null,"country":"x","pence":"sesame"}"#),
            (422, json, r#"{"order_id":"1","customer":null,"country":"x","pence":1,"sesame":1}"#),
            (415, "text/sesame", "{}"),
        ];
        for (status, content_type, body) in cases {
            let (said, text) = answer(content_type, body).await;
            assert_eq!(said, status, "{body}");
            assert!(text.contains(&format!("\"status\":{status}")) && !text.contains("sesame"), "{text}");
        }
    }

    #[test]
    fn an_unknown_outcome_asks_for_the_same_order_again() {
        let problem = Problem::from(failure(ErrorKind::OutcomeUnknown));
        assert_eq!(problem.status, 503);
        assert!(problem.detail.contains("same order_id"), "{}", problem.detail);
    }

    #[test]
    fn an_outage_is_503_and_a_wrong_statement_is_500() {
        assert_eq!(Problem::from(failure(ErrorKind::Unavailable)).status, 503);
        assert_eq!(Problem::from(failure(ErrorKind::Other)).status, 500);
    }
}
