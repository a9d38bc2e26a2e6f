//! The clients of a publisher.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use messagekit::Error;
use rdkafka::ClientConfig;

use super::client::Client;
use super::route::Route;

/// The size of a batch and of the largest message without a setting: librdkafka's own.
const DEFAULT_BYTES: usize = 1_000_000;

/// One client per route, made when it is needed and replaced when it has ended.
pub(super) struct Clients {
    config: ClientConfig,
    /// The size of a common batch before compression.
    pub(super) batch_bytes: usize,
    /// The size of the largest message before compression that the client itself does not refuse.
    pub(super) max_message_bytes: usize,
    clients: Mutex<HashMap<Route, Arc<Client>>>,
}

impl Clients {
    /// Makes the common client, so that unusable settings show at once.
    pub(super) fn new(config: ClientConfig) -> Result<Self, Error> {
        let bytes =
            |setting| config.get(setting).and_then(|bytes| bytes.parse().ok()).unwrap_or(DEFAULT_BYTES);
        let (batch_bytes, max_message_bytes) = (bytes("batch.size"), bytes("message.max.bytes"));
        let clients = Self { config, batch_bytes, max_message_bytes, clients: Mutex::default() };
        clients.of(Route::Common)?;
        Ok(clients)
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
