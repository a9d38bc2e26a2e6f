//! The running services that a status asks for their health.

mod state;

use std::sync::Arc;
use std::time::Duration;

use axum::http::Uri;
use futures_util::future::join_all;
use messagekit::{Error, ErrorKind};
use ureq::Agent;

pub use state::ServiceState;

/// How long one service may take for its answer.
const LIMIT: Duration = Duration::from_secs(2);

/// The most bytes of an answer: some thousand consumers.
const MOST_BYTES: u64 = 1024 * 1024;

/// A running service that serves `/health/ready`: a service with [`Health`](crate::Health), a bridge, a
/// relay or a bookkeeper. Only its process knows its lanes, its gates and its lag behind a broker.
///
/// ```
/// let billing = messagekit_admin::Service::new("billing", "http://127.0.0.1:8081")?;
/// assert!(messagekit_admin::Service::new("billing", "http://me:secret@127.0.0.1").is_err());
/// # let _ = billing;
/// # Ok::<(), messagekit::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Service {
    name: Arc<str>,
    url: String,
}

impl Service {
    /// Creates a service from its name and the address of its health: `http://HOST:PORT` or `https://HOST:PORT`.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfiguration`] for an address of another form, such as one with a login or a path.
    pub fn new(name: impl Into<Arc<str>>, address: &str) -> Result<Self, Error> {
        let name = name.into();
        let is_plain = |uri: &Uri| {
            matches!(uri.scheme_str(), Some("http" | "https"))
                && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'))
                && matches!(uri.path(), "" | "/")
                && uri.query().is_none()
        };
        match address.parse::<Uri>() {
            // The address is not shown: it may have a password.
            Ok(uri) if is_plain(&uri) && !name.is_empty() => {
                Ok(Self { name, url: format!("{}/health/ready", address.trim_end_matches('/')) })
            }
            _ => {
                let text = "a service takes a name and an address such as http://127.0.0.1:8081, without login and path";
                Err(Error::new(ErrorKind::InvalidConfiguration, text).with("service", name))
            }
        }
    }

    async fn ask(&self) -> ServiceState {
        let url = self.url.clone();
        let answer = tokio::task::spawn_blocking(move || read(&url)).await;
        let answer = answer.unwrap_or(Err("the request met a fault of this program"));
        match answer {
            Ok((is_ready, document)) => ServiceState::of(&self.name, is_ready, &document),
            Err(error) => ServiceState::silent(&self.name, error),
        }
    }
}

/// Asks all services at once. One that does not answer within 2 seconds is named with the reason.
pub(crate) async fn ask_services(services: &[Service]) -> Vec<ServiceState> {
    join_all(services.iter().map(Service::ask)).await
}

/// Returns whether the service is ready, and its document.
fn read(url: &str) -> Result<(bool, Vec<u8>), &'static str> {
    let agent = Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(LIMIT))
        // A service does not send its operator elsewhere.
        .max_redirects(0)
        .max_redirects_will_error(false);
    let silent = |error: ureq::Error| match error {
        ureq::Error::Timeout(_) => "no answer within 2 s",
        ureq::Error::Io(_) | ureq::Error::ConnectionFailed | ureq::Error::HostNotFound => "no connection",
        _ => "no answer that can be read",
    };
    let mut answer = agent.build().new_agent().get(url).call().map_err(silent)?;
    let is_ready = match answer.status().as_u16() {
        200 => true,
        503 => false,
        _ => return Err("no service of messagekit serves its health there"),
    };
    let document = answer.body_mut().with_config().limit(MOST_BYTES).read_to_vec().map_err(silent)?;
    Ok((is_ready, document))
}
