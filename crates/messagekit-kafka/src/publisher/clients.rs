//! The clients of a publisher.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use messagekit::Error;
use rdkafka::ClientConfig;

use super::client::Client;
use super::route::Route;

/// The size of a batch without a setting: librdkafka's own.
const BATCH_BYTES: usize = 1_000_000;

/// The size of the largest message without a setting: librdkafka's own.
const MESSAGE_BYTES: usize = 1_000_000;

/// One client per route, made when it is needed and replaced when it has ended.
pub(super) struct Clients {
    config: ClientConfig,
    clients: Mutex<HashMap<Route, Arc<Client>>>,
}

impl Clients {
    /// Makes the common client, so that unusable settings show at once.
    pub(super) fn new(config: ClientConfig) -> Result<Self, Error> {
        let clients = Self { config, clients: Mutex::default() };
        clients.of(Route::Common)?;
        Ok(clients)
    }

    /// Returns the size of a common batch before compression in bytes.
    pub(super) fn batch_bytes(&self) -> usize {
        self.bytes("batch.size", BATCH_BYTES)
    }

    /// Returns the size of the largest message before compression that the client itself does not refuse, in bytes.
    pub(super) fn max_message_bytes(&self) -> usize {
        self.bytes("message.max.bytes", MESSAGE_BYTES)
    }

    fn bytes(&self, setting: &str, default: usize) -> usize {
        self.config.get(setting).and_then(|bytes| bytes.parse().ok()).unwrap_or(default)
    }

    pub(super) fn of(&self, route: Route) -> Result<Arc<Client>, Error> {
        let mut clients = self.clients();
        // One that a dropped call left behind may have ended.
        if let Some(client) = clients.get(&route).filter(|client| !client.is_dead()) {
            return Ok(Arc::clone(client));
        }
        let client = Arc::new(Client::new(&self.config(route))?);
        clients.insert(route, Arc::clone(&client));
        Ok(client)
    }

    /// Removes an ended client, unless another call has done so already.
    pub(super) fn remove(&self, route: Route, ended: &Arc<Client>) {
        let mut clients = self.clients();
        if clients.get(&route).is_some_and(|client| Arc::ptr_eq(client, ended)) {
            clients.remove(&route);
        }
    }

    fn config(&self, route: Route) -> ClientConfig {
        let mut config = self.config.clone();
        match route {
            Route::Common => {}
            Route::Narrow(power) => {
                config.set("batch.size", (1_u64 << power).to_string());
            }
            // A refusal ends an idempotent client, and with it the messages behind. Here one request is in flight, so
            // no message passes another, and none is repeated, so none comes twice.
            Route::Alone => {
                let settings = [
                    ("batch.num.messages", "1"),
                    ("linger.ms", "0"),
                    ("enable.idempotence", "false"),
                    ("enable.gapless.guarantee", "false"),
                    ("max.in.flight", "1"),
                    ("message.send.max.retries", "0"),
                ];
                // Other names of two of them, of which the client would take either.
                config.remove("retries").remove("queue.buffering.max.ms");
                for (name, value) in settings {
                    config.set(name, value);
                }
            }
        }
        config
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Route, Arc<Client>>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
