//! A service over a log in memory, and requests to its port.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::OutboxRows;
use messagekit::{Consumer, Envelope, Error, Event, HandlerError, Outbox, Shutdown};
use messagekit_config::Configuration;
use messagekit_memory::{MemoryLog, MemorySource, MemoryStore, MemoryTx};
use messagekit_service::Service;

use serde::{Deserialize, Serialize};
use tokio::net::TcpListener;
use tokio::sync::{Notify, Semaphore};
use tokio::task::JoinHandle;

pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: String,
}

pub(crate) fn settings(text: &str) -> Configuration {
    Configuration::read(("billing.toml", text), [("", "")]).expect("it is TOML")
}

pub(crate) fn service() -> Service {
    Service::new("billing", settings("")).expect("nothing is wrong")
}

/// A service that runs until its shutdown.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) shutdown: Shutdown,
    pub(crate) ended: JoinHandle<Result<(), Error>>,
}

pub(crate) async fn started(service: Service) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let shutdown = Shutdown::new();
    let ended = tokio::spawn(service.serve(listener, shutdown.clone()));
    Running { address, shutdown, ended }
}

impl Running {
    pub(crate) async fn get(&self, path: &str) -> Result<(u16, String), ureq::Error> {
        let url = format!("http://{}{path}", self.address);
        let request = move || {
            let config =
                ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(DEADLINE));
            let mut answer = ureq::Agent::from(config.build()).get(&url).call()?;
            Ok((answer.status().as_u16(), answer.body_mut().read_to_string()?))
        };
        tokio::task::spawn_blocking(request).await.expect("it does not panic")
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let (status, text) = self.get(path).await.expect("an answer");
        assert_eq!(status, 200, "{path}: {text}");
        text
    }

    pub(crate) async fn stop(self) -> Result<(), Error> {
        self.shutdown.request();
        self.ended().await
    }

    pub(crate) async fn ended(self) -> Result<(), Error> {
        tokio::time::timeout(DEADLINE, self.ended).await.expect("it ends in time").expect("it does not panic")
    }
}

/// Holds its messages back until a test lets them through.
pub(crate) struct Held {
    pub(crate) arrived: Notify,
    pub(crate) through: Semaphore,
}

impl Held {
    async fn bill(&self, _: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        self.arrived.notify_one();
        self.through.acquire().await.map_err(HandlerError::permanent)?.forget();
        Ok(())
    }
}

/// A store, a consumer of the orders in it, and what holds its messages.
pub(crate) fn billing(passing: usize) -> (MemoryStore, Consumer<MemoryStore, MemorySource>, Arc<Held>) {
    let log = MemoryLog::new(1);
    let store = MemoryStore::with_log(&log);
    let held = Arc::new(Held { arrived: Notify::new(), through: Semaphore::new(passing) });
    let consumer = Consumer::builder("billing", store.clone())
        .from(log.topics([OrderPlaced::TOPIC]))
        .on_with(Arc::clone(&held), Held::bill)
        .build()
        .expect("it is complete");
    (store, consumer, held)
}

pub(crate) async fn place<S: OutboxRows + Clone>(store: &S, order_id: &str) {
    let outbox = Outbox::new(store.clone(), "orders").expect("a name");
    let order = OrderPlaced { order_id: order_id.to_owned() };
    outbox.transaction(async |tx| Ok(outbox.add(tx, order).await?)).await.expect("committed");
}
