//! Asks brokers for offsets: the questions block, and each runs on a thread of its own.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use messagekit::{Error, ErrorKind};
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use tokio::sync::oneshot;

use crate::background::spawn;
use crate::context::Context;
use crate::error::unusable_settings;
use crate::properties::STATISTICS;

/// The time limit of an answer.
const DEADLINE: Duration = Duration::from_secs(10);

/// A client that answers questions.
pub(super) type Client = BaseConsumer<Context>;

/// Asks with one client, which is made with the first question and anew after one that no broker answered.
pub(super) struct Questions {
    config: ClientConfig,
    client: Mutex<Option<Arc<Client>>>,
}

impl Questions {
    pub(super) fn new(mut config: ClientConfig) -> Self {
        // Between two questions no thread takes them.
        config.set(STATISTICS, "0");
        Self { config, client: Mutex::default() }
    }

    /// Asks a question on a thread of its own.
    ///
    /// # Errors
    /// Those of the question. [`ErrorKind::Unavailable`] if there is no thread; [`ErrorKind::InvalidConfiguration`] if the settings make no
    /// client.
    ///
    /// # Cancel safety
    /// A dropped question ends in the background, at its time limit at the latest.
    pub(super) async fn ask<T: Send + 'static>(
        self: &Arc<Self>,
        question: impl FnOnce(&Client, Deadline) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (answer, answered) = oneshot::channel();
        let questions = Arc::clone(self);
        let not_asked = || Error::new(ErrorKind::Unavailable, "kafka was not asked for offsets");
        let run = move || {
            let client = questions.client();
            let found = client.as_ref().map_err(Error::clone).and_then(|client| {
                let found = question(client, Deadline::new());
                drain(client);
                found.map_err(|error| explained(error, client))
            });
            if found.as_ref().is_err_and(Error::is_transient) {
                questions.forget();
            }
            // The caller may be gone. A client without reachable brokers takes seconds to end: not before the answer.
            let _ = answer.send(found);
            drop((client, questions));
        };
        thread::Builder::new()
            .name("kafka-log-ask".to_owned())
            .spawn(run)
            .map_err(|error| not_asked().caused_by(error))?;
        answered.await.unwrap_or_else(|_| Err(not_asked()))
    }

    fn client(&self) -> Result<Arc<Client>, Error> {
        let mut client = self.client.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = &*client {
            return Ok(Arc::clone(client));
        }
        let made = self.config.create_with_context(Context::default());
        let made = Arc::new(made.map_err(|error| unusable_settings("log", error))?);
        Ok(Arc::clone(client.insert(made)))
    }

    fn forget(&self) {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

impl Drop for Questions {
    fn drop(&mut self) {
        // A client waits for its own threads.
        if let Some(client) = self.client.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            spawn("log-end", move || drop(client));
        }
    }
}

/// Adds why brokers do not answer, which the answer itself does not say: a refused login, or a certificate that is not trusted.
fn explained(error: Error, client: &Client) -> Error {
    let reason = client.context().reason();
    if error.is_transient() && !reason.is_empty() { error.with("client", reason) } else { error }
}

/// Takes the events of a client that no other thread polls.
fn drain(client: &Client) {
    loop {
        let events = client.context().events();
        if client.poll(Duration::ZERO).is_none() && client.context().events() == events {
            return;
        }
    }
}

/// When a question is given up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Deadline(Instant);

impl Deadline {
    pub(super) fn new() -> Self {
        Self(Instant::now() + DEADLINE)
    }

    pub(super) fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))
    }
}
