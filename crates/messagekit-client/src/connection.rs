//! Requests to a server, over connections that are kept between them.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Body;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, StatusCode};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use messagekit::{Error, ErrorKind};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::address::Address;
use crate::connector::{Connector, connector};
use crate::refusal::refused;

/// The server closes a connection after 10 seconds without a request.
const IDLE: Duration = Duration::from_secs(5);

/// How long a server may take for an answer beyond the wait that it was asked for.
const ANSWER: Duration = Duration::from_secs(35);

/// The most bytes of an answer.
const MAX_ANSWER: usize = 256 << 20;

/// A server and the right to use it. Clones share their connections.
#[derive(Clone)]
pub(crate) struct Connection {
    address: Address,
    authorization: HeaderValue,
    pool: Pool<Connector, Full<Bytes>>,
}

impl Connection {
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a URL that is none of a server, and for a token with characters that none has.
    pub(crate) fn new(url: &str, token: &str) -> Result<Self, Error> {
        let address = Address::read(url)?;
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let text = "token is empty, or has a character that none has";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Error::new(ErrorKind::InvalidConfiguration, "token is no header"))?;
        authorization.set_sensitive(true);
        let pool = pool(connector(&address)?);
        Ok(Self { address, authorization, pool })
    }

    /// Trusts the authorities of a PEM file, too.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for a file that cannot be read or has no certificate, and for a server without TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn ca_file(self, path: &std::path::Path) -> Result<Self, Error> {
        if !self.address.is_secure() {
            let text = "certificates are of use only with an address https://…";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        Ok(Self { pool: pool(crate::connector::trusting(true, Some(path))?), ..self })
    }

    pub(crate) fn host(&self) -> &str {
        self.address.host()
    }

    /// Sends a request, and returns what answers it. `wait` is how long the server was asked to wait.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] without a connection. [`ErrorKind::OutcomeUnknown`] when it broke, or the answer is late, too long or
    /// none of this server. Else what the server [refused](refused).
    ///
    /// # Cancel safety
    /// A dropped request may be done or not.
    pub(crate) async fn post<A: DeserializeOwned>(
        &self,
        name: &str,
        query: &str,
        body: &impl Serialize,
        wait: Duration,
    ) -> Result<A, Error> {
        let request = self.request(name, query, body)?;
        let Ok(answer) = tokio::time::timeout(wait.saturating_add(ANSWER), self.exchange(request)).await
        else {
            return Err(self.unanswered(ErrorKind::OutcomeUnknown, "no answer in time"));
        };
        let (status, bytes) = answer?;
        if status != StatusCode::OK {
            return Err(refused(status, &bytes));
        }
        serde_json::from_slice(&bytes).map_err(|_| {
            self.unanswered(ErrorKind::OutcomeUnknown, "the answer is not that of a messagekit server")
        })
    }

    fn request(&self, name: &str, query: &str, body: &impl Serialize) -> Result<Request<Full<Bytes>>, Error> {
        let body = serde_json::to_vec(body).map_err(|error| {
            Error::new(ErrorKind::InvalidEvent, "record cannot be written as JSON").caused_by(error)
        })?;
        Request::builder()
            .method(Method::POST)
            .uri(self.address.route(name, query))
            .header(AUTHORIZATION, self.authorization.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(body.into()))
            .map_err(|error| {
                Error::new(ErrorKind::InvalidConfiguration, "url is none of a server").caused_by(error)
            })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Error> {
        let response = self.pool.request(request).await.map_err(|error| {
            let kind = if error.is_connect() { ErrorKind::Unavailable } else { ErrorKind::OutcomeUnknown };
            self.unanswered(kind, "no answer").caused_by(error)
        })?;
        let status = response.status();
        let body = response.into_body();
        if body.size_hint().lower() > MAX_ANSWER as u64 {
            return Err(self.unanswered(ErrorKind::OutcomeUnknown, "the answer is too long"));
        }
        let body = Limited::new(body, MAX_ANSWER).collect().await.map_err(|error| {
            self.unanswered(ErrorKind::OutcomeUnknown, "the answer broke off, or is too long")
                .caused_by(error)
        })?;
        Ok((status, body.to_bytes()))
    }

    fn unanswered(&self, kind: ErrorKind, text: &'static str) -> Error {
        Error::new(kind, text).with("server", self.host())
    }
}

fn pool(connector: Connector) -> Pool<Connector, Full<Bytes>> {
    let mut pool = Pool::builder(TokioExecutor::new());
    pool.pool_idle_timeout(IDLE).pool_timer(TokioTimer::new()).build(connector)
}
