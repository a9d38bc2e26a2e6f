//! Reading the bodies of requests about topics.

use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::body;
use crate::failure::Failure;

/// Extracts a JSON object, which may hold lists.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Failure;

    async fn from_request(request: Request, _: &S) -> Result<Self, Failure> {
        let bytes = body::bytes(request).await?;
        let value: Value = serde_json::from_slice(&bytes).map_err(|error| {
            let (line, column) = (error.line(), error.column());
            Failure::bad_request(format!("the body is not JSON, at line {line} column {column}"))
        })?;
        // serde reads a list as an object, field by position.
        if !value.is_object() {
            return Err(Failure::bad_request("the body is no JSON object"));
        }
        // The error quotes no value of a string, only names of fields and kinds.
        serde_json::from_value(value).map(Self).map_err(|error| {
            let text =
                format!("the body is not what this operation takes: {}", without_values(&error.to_string()));
            Failure::new(StatusCode::BAD_REQUEST, "BAD_REQUEST", text)
        })
    }
}

/// An error of serde may quote a value in its own words, between `string "` and `"`.
fn without_values(error: &str) -> String {
    match error.split_once("invalid value: ").or_else(|| error.split_once("invalid type: ")) {
        Some((_, rest)) => match rest.rsplit_once("expected ") {
            Some((_, expected)) => format!("a field is not what is expected: {expected}"),
            None => "a field is not what is expected".to_owned(),
        },
        None => error.to_owned(),
    }
}
