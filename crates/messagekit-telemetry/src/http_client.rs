//! The HTTP client of the exporters. It blocks the thread of an exporter and nothing else.

use std::time::Duration;

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

/// The largest answer of a receiver that is read.
pub(crate) const MAX_ANSWER: u64 = 64 * 1024;

/// Returns a client that follows no redirect: it would carry the headers of the settings elsewhere, and no body.
pub(crate) fn agent(limit: Option<Duration>) -> ureq::Agent {
    let settings = ureq::Agent::config_builder().http_status_as_error(false).max_redirects(0);
    settings.timeout_global(limit).build().into()
}

/// Sends a request over a pooled connection.
#[derive(Debug)]
pub(crate) struct Blocking(pub(crate) ureq::Agent);

#[async_trait]
impl HttpClient for Blocking {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let (parts, body) = request.into_parts();
        let (parts, mut body) = self.0.run(Request::from_parts(parts, &*body))?.into_parts();
        let answer = body.with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok(Response::from_parts(parts, answer.into()))
    }
}
