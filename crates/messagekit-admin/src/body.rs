//! Reading JSON bodies and the numbers in paths.

use axum::body::Bytes;
use axum::extract::RawPathParams;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::error::Category;

use crate::problem::Problem;

/// The most bytes of a body: 1 MiB.
pub(crate) const MAX_BODY: usize = 1 << 20;

/// Extracts a JSON body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = bytes(request).await?;
        let read = serde_json::from_slice(&bytes).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            match error.classify() {
                Category::Data => {
                    Problem::refused(format!("the body is not what this operation takes, at {place}"))
                }
                _ if bytes.starts_with("\u{feff}".as_bytes()) => Problem::malformed(
                    "the body begins with a byte order mark, which JSON does not have: send UTF-8 without one",
                ),
                _ => Problem::malformed(format!("the body is not JSON, at {place}")),
            }
        })?;
        match serde_json::from_slice(&bytes) {
            Ok(value) if !holds_list(&value) => Ok(Self(read)),
            _ => Err(Problem::refused("the body holds a list, and this operation takes none")),
        }
    }
}

/// Returns the bytes of a JSON body, which may have at most [`MAX_BODY`].
pub(crate) async fn bytes(request: Request) -> Result<Bytes, Problem> {
    if !is_json(request.headers()) {
        let text = "the body is not JSON: send it with content-type application/json";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
    }
    let too_large = || {
        let text = format!("the body is longer than {MAX_BODY} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, text)
    };
    let told = request.headers().get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok());
    if told.and_then(|length| length.parse::<u64>().ok()).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    // A body that is too long and one that ends early cause the same error; the rest of neither is read.
    axum::body::to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| too_large())
}

/// serde reads a list as an object, field by position: an empty list would become a filter that selects everything.
fn holds_list(value: &Value) -> bool {
    match value {
        Value::Array(_) => true,
        Value::Object(fields) => fields.values().any(holds_list),
        _ => false,
    }
}

fn is_json(headers: &axum::http::HeaderMap) -> bool {
    let mut types = headers.get_all(header::CONTENT_TYPE).iter();
    let (Some(only), None) = (types.next(), types.next()) else { return false };
    let media_type = only.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    media_type.trim().eq_ignore_ascii_case("application/json")
}

/// Rejects a body where an operation takes none, unless its type is JSON: a form of another site is never accepted.
#[derive(Debug)]
pub(crate) struct NoBody;

impl<S: Sync> FromRequestParts<S> for NoBody {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if parts.headers.contains_key(header::CONTENT_TYPE) && !is_json(&parts.headers) {
            let text = "this operation takes no body; a content-type other than application/json is refused";
            return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, text));
        }
        Ok(Self)
    }
}

/// Extracts the number in the path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Number(pub(crate) i64);

impl<S: Send + Sync> FromRequestParts<S> for Number {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_one = || Problem::malformed("the path has no whole number from 1 where one belongs");
        let params = RawPathParams::from_request_parts(parts, state).await.map_err(|_| not_one())?;
        let text = params.iter().find(|(name, _)| *name == "id").map(|(_, text)| text);
        let digits = text.filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|text| text.parse().ok()).filter(|number| *number > 0);
        number.map(Self).ok_or_else(not_one)
    }
}
