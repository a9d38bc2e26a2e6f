//! The HTTP client of the exporter. It blocks the exporter's own thread and nothing else.

use async_trait::async_trait;
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};

/// The largest answer of a receiver that is read.
const MAX_ANSWER: u64 = 64 * 1024;

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
