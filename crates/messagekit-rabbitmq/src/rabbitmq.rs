//! The settings of a connection to RabbitMQ.

use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use messagekit::ErrorKind;

use crate::Error;
use crate::topology::declarations::Declarations;

/// The heartbeat interval that this crate requests, unless the address sets one.
const HEARTBEAT_SECONDS: u16 = 10;

/// Holds the settings of a connection to RabbitMQ. Creating them opens no connection.
///
/// ```
/// use messagekit_rabbitmq::RabbitMq;
///
/// let rabbit = RabbitMq::new("amqps://shipping:secret@broker.internal/orders")?.prefetch(500);
/// let source = rabbit.queue("shipping.orders");
/// assert!(!format!("{rabbit:?}").contains("secret"));
/// # Ok::<(), messagekit_rabbitmq::Error>(())
/// ```
#[derive(Clone)]
pub struct RabbitMq {
    pub(crate) uri: AMQPUri,
    name: Arc<str>,
    /// Certificates of additional authorities to trust, beside those of the system.
    pub(crate) ca: Option<Arc<str>>,
    pub(crate) prefetch: u16,
    pub(crate) confirm_deadline: Duration,
    pub(crate) window: usize,
    pub(crate) verify: bool,
    pub(crate) declarations: Declarations,
}

impl RabbitMq {
    /// Creates settings with the broker's address: `amqp://USER:PASSWORD@HOST:PORT/VHOST`, or `amqps://` for TLS.
    ///
    /// An address without a virtual host, or with a bare `/` at the end, means the default one (`/`). Special
    /// characters of user, password or virtual host are percent-encoded (`%2f`).
    ///
    /// # Errors
    /// Permanent, [`ErrorKind::InvalidConfiguration`], if the text has another form. The error does not repeat the
    /// text.
    pub fn new(url: &str) -> Result<Self, Error> {
        let refused = || {
            let text = "address of rabbitmq is not amqp://USER:PASSWORD@HOST:PORT/VHOST or amqps://…";
            Error::new(ErrorKind::InvalidConfiguration, text)
        };
        // The parser's error would repeat the whole address.
        let mut uri: AMQPUri = url.parse().map_err(|_| refused())?;
        let authority = url.split_once("://").map(|(_, rest)| rest).ok_or_else(refused)?;
        let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        if let Some(address) = host.strip_prefix('[').and_then(|host| host.split_once(']')) {
            // The parser does not support such an address and would use this machine instead.
            uri.authority.host = address.0.to_owned();
        } else if host.is_empty() || host.starts_with(':') {
            return Err(refused());
        }
        if matches!(uri.vhost.as_str(), "" | "/") {
            uri.vhost = "/".to_owned();
        }
        if uri.vhost.len() > 255 || uri.authority.port == 0 {
            return Err(refused());
        }
        uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
        Ok(Self {
            uri,
            name: "messagekit".into(),
            ca: None,
            prefetch: 200,
            confirm_deadline: Duration::from_secs(30),
            window: 200,
            verify: true,
            declarations: Declarations::default(),
        })
    }

    /// Names this service in the broker's list of connections; `messagekit` unless set.
    #[must_use]
    pub fn name(mut self, name: impl Into<Arc<str>>) -> Self {
        self.name = name.into();
        self
    }

    /// Trusts the authorities whose certificates are in a PEM file, beside those that the system trusts.
    ///
    /// # Errors
    /// Permanent, [`ErrorKind::InvalidConfiguration`], if the file cannot be read or contains no certificate, or if
    /// the address is not `amqps://`.
    pub fn ca_file(mut self, path: impl AsRef<Path>) -> Result<Self, Error> {
        let path = path.as_ref();
        let refused = |text: String| messagekit::Error::new(ErrorKind::InvalidConfiguration, text);
        if self.uri.scheme != AMQPScheme::AMQPS {
            return Err(refused("certificates are of use only with an address amqps://…".to_owned()));
        }
        let text = std::fs::read_to_string(path).map_err(|error| {
            refused(format!("certificates cannot be read from {}", path.display())).caused_by(error)
        })?;
        if !text.contains("-----BEGIN CERTIFICATE-----") {
            return Err(refused(format!("{} holds no certificate in PEM form", path.display())));
        }
        self.ca = Some(text.into());
        Ok(self)
    }

    /// Sets how many unsettled messages of one queue this process may hold; 200 unless set, and at least 1.
    ///
    /// It limits the memory of a subscriber. Each of these messages counts one delivery when the process crashes.
    #[must_use]
    pub fn prefetch(mut self, messages: u16) -> Self {
        self.prefetch = messages.max(1);
        self
    }

    /// Sets the time limit for the broker's confirmation of a publish; 30 seconds unless set.
    #[must_use]
    pub fn confirm_deadline(mut self, deadline: Duration) -> Self {
        self.confirm_deadline = deadline;
        self
    }

    /// Sets how many messages of a publisher may be unconfirmed at once; 200 unless set, and at least 1.
    #[must_use]
    pub fn window(mut self, messages: usize) -> Self {
        self.window = messages.max(1);
        self
    }

    /// Allows queues that differ from the declaration of a [`Queue`](crate::Queue): without a delivery limit, without
    /// a dead-letter exchange, classic, exclusive.
    ///
    /// Messages that the broker then drops are lost.
    #[must_use]
    pub fn allow_lossy_queues(mut self) -> Self {
        self.verify = false;
        self
    }

    /// Returns the name of a connection with its purpose.
    pub(crate) fn connection_name(&self, used_for: &str) -> String {
        format!("{} {used_for}", self.name)
    }
}

/// Shows neither the user nor the password.
impl fmt::Debug for RabbitMq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RabbitMq")
            .field("host", &self.uri.authority.host)
            .field("port", &self.uri.authority.port)
            .field("vhost", &self.uri.vhost)
            .field("tls", &(self.uri.scheme == AMQPScheme::AMQPS))
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_slash_is_the_default_virtual_host() {
        for url in ["amqp://h", "amqp://h/", "amqp://h:5672/%2f", "amqp://h/%2F"] {
            assert_eq!(RabbitMq::new(url).unwrap().uri.vhost, "/", "{url}");
        }
        assert_eq!(RabbitMq::new("amqp://h/orders").unwrap().uri.vhost, "orders");
    }

    #[test]
    fn an_address_of_another_form_is_refused_and_not_repeated() {
        for url in [
            "",
            "localhost:5672",
            "http://u:hunter2@h",
            "amqp:hunter2",
            "amqp://u:hunter2@:5672",
            "amqp://u:hunter2@h:99999",
        ] {
            let error = RabbitMq::new(url).expect_err(url);
            assert_eq!(error.kind(), ErrorKind::InvalidConfiguration);
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn debug_shows_neither_user_nor_password() {
        let rabbit = RabbitMq::new("amqps://alice:hunter2@h/orders").unwrap();
        let shown =
            format!("{rabbit:?} {:?} {:?} {:?}", rabbit.queue("q"), rabbit.publisher(), rabbit.topology());
        assert!(
            shown.contains("orders") && !shown.contains("hunter2") && !shown.contains("alice"),
            "{shown}"
        );
    }

    #[test]
    fn an_address_in_brackets_is_not_this_machine() {
        let rabbit = RabbitMq::new("amqp://u:p@[2001:db8::1]:5673/").unwrap();
        assert_eq!((rabbit.uri.authority.host.as_str(), rabbit.uri.authority.port), ("2001:db8::1", 5673));
    }

    #[test]
    fn a_file_without_a_certificate_is_refused() {
        let file = std::env::temp_dir().join(format!("messagekit-no-certificate-{}", std::process::id()));
        std::fs::write(&file, "nothing").unwrap();
        for (url, path) in [
            ("amqps://h", file.as_path()),
            ("amqps://h", Path::new("/absent/ca.pem")),
            ("amqp://h", file.as_path()),
        ] {
            let refused = RabbitMq::new(url).unwrap().ca_file(path).expect_err(url);
            assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
        }
        std::fs::remove_file(file).unwrap();
    }
}
