//! Opens and closes connections, and paces retries.

use std::time::Duration;

use lapin::tcp::OwnedTLSConfig;
use lapin::{Channel, Connection, ConnectionProperties};
use messagekit::{Error, ErrorKind};

use crate::error::unavailable;
use crate::{RabbitMq, frames};

/// The time limit for opening a connection, and for closing a connection or channel.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

impl RabbitMq {
    /// Opens a connection; operators see `name` in the broker's list.
    ///
    /// # Errors
    /// Transient, also for a wrong password: it may be corrected on either side.
    pub(crate) async fn connect(&self, name: &str) -> Result<Connection, Error> {
        let named = |error: Error| {
            let authority = &self.uri.authority;
            error
                .with("host", format_args!("{}:{}", authority.host, authority.port))
                .with("vhost", &self.uri.vhost)
        };
        let properties = ConnectionProperties::default().with_connection_name(name.into());
        let tls = OwnedTLSConfig { identity: None, cert_chain: self.ca.as_deref().map(str::to_owned) };
        let opening = frames::connect(self.uri.clone(), tls, properties);
        match tokio::time::timeout(PATIENCE, opening).await {
            Ok(Ok(connection)) => Ok(connection),
            Ok(Err(error)) => Err(named(unavailable("rabbitmq cannot be reached", error))),
            Err(_) => {
                let text = format!("rabbitmq did not answer within {} seconds", PATIENCE.as_secs());
                Err(named(Error::new(ErrorKind::Unavailable, text)))
            }
        }
    }
}

/// Closes an open channel. A dropped channel closes itself in the background; the client logs an error if the
/// connection is closed meanwhile.
pub(crate) async fn close_channel(channel: &Channel) {
    if channel.status().connected() {
        let closing = channel.close(200, "closed".into());
        if !matches!(tokio::time::timeout(PATIENCE, closing).await, Ok(Ok(()))) {
            tracing::debug!("channel to rabbitmq was not closed in order");
        }
    }
}

/// Closes a connection, or drops one that does not answer.
pub(crate) async fn close(connection: &Connection) {
    let closing = connection.close(200, "closed".into());
    if !matches!(tokio::time::timeout(PATIENCE, closing).await, Ok(Ok(()))) {
        tracing::debug!("connection to rabbitmq was not closed in order");
    }
}

/// How long to wait before the next attempt: doubled from 50 ms up to 5 s. A random half is left out, so that many
/// processes do not reconnect at once.
#[derive(Debug, Default)]
pub(crate) struct Pause(u32);

impl Pause {
    pub(crate) fn reset(&mut self) {
        self.0 = 0;
    }

    pub(crate) fn next(&mut self) -> Duration {
        let full = Duration::from_millis((50 << self.0.min(7)).min(5_000));
        self.0 = self.0.saturating_add(1);
        full.mul_f64(fastrand::f64().mul_add(0.5, 0.5))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_five_seconds_and_start_anew() {
        let mut pause = Pause::default();
        assert!(pause.next() <= Duration::from_millis(50));
        let later = (0..50).map(|_| pause.next()).last().unwrap();
        assert!((Duration::from_millis(2_500)..=Duration::from_secs(5)).contains(&later), "{later:?}");
        pause.reset();
        assert!(pause.next() <= Duration::from_millis(50));
    }
}
