//! Calls of a registry, over connections that are kept between them.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use messagekit::{Error, ErrorKind};
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;
use ureq::Agent;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{Connector, DefaultConnector};

use super::answer::refused;
use super::secret_header::SecretHeader;

/// The content type of Confluent's API.
const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";

/// The largest answer that is read.
const MAX_ANSWER: u64 = 8 << 20;

/// One call.
#[derive(Clone)]
pub(super) enum Request {
    Get { path: String },
    Post { path: String, body: String },
}

/// The servers of a registry and the right to use them.
#[derive(Clone)]
pub(super) struct Connection {
    servers: Arc<[String]>,
    authorization: Option<SecretHeader>,
    limit: Duration,
    roots: Vec<Certificate<'static>>,
    agent: Agent,
    /// The number of the server that has answered last.
    answering: Arc<AtomicUsize>,
}

impl Connection {
    pub(super) fn new(servers: Vec<String>) -> Result<Self, Error> {
        let mut roots = Vec::new();
        // The system's certificates are read from files, which an address without TLS does not need.
        if servers.iter().any(|server| server.starts_with("https:")) {
            let found = rustls_native_certs::load_native_certs().certs;
            roots.extend(found.iter().map(|certificate| Certificate::from_der(certificate).to_owned()));
        }
        let limit = Duration::from_secs(10);
        let agent = agent(limit, &roots, None);
        Ok(Self {
            servers: servers.into(),
            authorization: None,
            limit,
            roots,
            agent,
            answering: Arc::default(),
        })
    }

    pub(super) fn basic(self, user: &str, password: &str) -> Self {
        self.authorized_by(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
    }

    fn authorized_by(mut self, value: String) -> Self {
        self.authorization = Some(SecretHeader::new(value));
        self.with_settings()
    }

    /// Takes the settings that were changed over.
    fn with_settings(mut self) -> Self {
        self.agent = agent(self.limit, &self.roots, self.authorization.as_ref());
        self
    }

    pub(super) fn bearer(self, token: &str) -> Result<Self, Error> {
        if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            let text = "token is empty, or has a character that none has";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        Ok(self.authorized_by(format!("Bearer {token}")))
    }

    pub(super) fn certificate_authority(mut self, path: &Path) -> Result<Self, Error> {
        let refused = |text: &'static str| {
            Error::new(ErrorKind::InvalidConfiguration, text).with("path", path.display())
        };
        let text =
            std::fs::read(path).map_err(|error| refused("certificates cannot be read").caused_by(error))?;
        let before = self.roots.len();
        for item in ureq::tls::parse_pem(&text) {
            if let PemItem::Certificate(found) =
                item.map_err(|error| refused("file is not in PEM form").caused_by(error))?
            {
                self.roots.push(found);
            }
        }
        if self.roots.len() == before {
            return Err(refused("file holds no certificate in PEM form"));
        }
        Ok(self.with_settings())
    }

    pub(super) fn timeout(mut self, limit: Duration) -> Result<Self, Error> {
        if limit.is_zero() {
            let text = "time for an answer of the registry is zero";
            return Err(Error::new(ErrorKind::InvalidConfiguration, text));
        }
        self.limit = limit;
        Ok(self.with_settings())
    }

    /// Calls one server after another until one answers and knows, the one first that has answered last.
    pub(super) async fn call<T: DeserializeOwned + Send + 'static>(
        &self,
        request: Request,
    ) -> Result<T, Error> {
        let (connection, (answer, answered)) = (self.clone(), oneshot::channel());
        // On a thread that no runtime waits for when it ends: a silent server would hold up the exit of the program.
        let call = move || drop(answer.send(connection.call_any(&request)));
        let started = thread::Builder::new().name("schema-registry".to_owned()).spawn(call);
        started.map_err(|error| {
            let text = "thread of a call cannot be started: raise the limit of threads";
            Error::new(ErrorKind::Unavailable, text).caused_by(error)
        })?;
        answered.await.map_err(|gone| {
            Error::new(ErrorKind::Unavailable, "call of the schema registry was ended").caused_by(gone)
        })?
    }

    fn call_any<T: DeserializeOwned>(&self, request: &Request) -> Result<T, Error> {
        let (first, count) = (self.answering.load(Ordering::Relaxed), self.servers.len());
        let mut last: Option<Error> = None;
        for number in (0..count).map(|offset| (first + offset) % count) {
            let server = &self.servers[number];
            match self.call_one(server, request).map_err(|error| error.with("server", server)) {
                // What one does not know yet, another may.
                Err(error) if error.is_transient() || error.kind() == ErrorKind::NotFound => {
                    last = last.filter(|last| last.kind() == ErrorKind::NotFound).or(Some(error));
                }
                answered => {
                    self.answering.store(number, Ordering::Relaxed);
                    return answered;
                }
            }
        }
        Err(last.expect("a registry has a server"))
    }

    fn call_one<T: DeserializeOwned>(&self, server: &str, request: &Request) -> Result<T, Error> {
        let sent = match request {
            Request::Get { path } => self.authorized(self.agent.get(format!("{server}{path}"))).call(),
            Request::Post { path, body } => self
                .authorized(self.agent.post(format!("{server}{path}")))
                .header("Content-Type", CONTENT_TYPE)
                .send(body),
        };
        let unanswered = |error: ureq::Error| {
            Error::new(ErrorKind::Unavailable, "schema registry does not answer").caused_by(error)
        };
        let (parts, mut body) = sent.map_err(unanswered)?.into_parts();
        let body = body.with_config().limit(MAX_ANSWER).read_to_vec().map_err(unanswered)?;
        if !parts.status.is_success() {
            return Err(refused(parts.status.as_u16(), &body));
        }
        serde_json::from_slice(&body).map_err(|_| {
            Error::new(ErrorKind::InvalidConfiguration, "server does not answer as a schema registry does")
        })
    }

    fn authorized<Body>(&self, request: ureq::RequestBuilder<Body>) -> ureq::RequestBuilder<Body> {
        let request = request.header("Accept", format!("{CONTENT_TYPE}, application/json"));
        match &self.authorization {
            Some(authorization) => request.header("Authorization", authorization.stand_in()),
            None => request,
        }
    }
}

fn agent(limit: Duration, roots: &[Certificate<'static>], secret: Option<&SecretHeader>) -> Agent {
    let tls = TlsConfig::builder().root_certs(RootCerts::from(roots.to_vec())).build();
    let config = Agent::config_builder().http_status_as_error(false).timeout_global(Some(limit));
    // A redirect would take the password elsewhere.
    let config = config.max_redirects(0).max_redirects_will_error(false).tls_config(tls).build();
    match secret {
        Some(secret) => {
            let connector = DefaultConnector::default().chain(secret.clone());
            Agent::with_parts(config, connector, DefaultResolver::default())
        }
        None => config.into(),
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("servers", &self.servers).finish_non_exhaustive()
    }
}
