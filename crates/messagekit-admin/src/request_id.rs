//! The id of a request, for its response, the log and the audit.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use messagekit::MessageId;
use tracing::Instrument;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: the caller's own, if its text is plain.
#[derive(Clone, Debug)]
pub(crate) struct RequestId(HeaderValue);

impl RequestId {
    fn of(request: &Request) -> Self {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        let own = request
            .headers()
            .get(HEADER)
            .filter(|value| (1..=64).contains(&value.len()) && value.as_bytes().iter().all(plain));
        Self(own.cloned().unwrap_or_else(|| {
            HeaderValue::from_str(MessageId::new().as_str()).unwrap_or(HeaderValue::from_static("none"))
        }))
    }

    pub(crate) fn as_str(&self) -> &str {
        self.0.to_str().unwrap_or_default()
    }
}

/// Sets the id of the request.
pub(crate) async fn name(mut request: Request, next: Next) -> Response {
    let id = RequestId::of(&request);
    let span = tracing::info_span!("request", id = id.as_str(), method = %request.method());
    request.extensions_mut().insert(id.clone());
    let mut response = next.run(request).instrument(span).await;
    response.headers_mut().insert(HEADER, id.0);
    response
}
