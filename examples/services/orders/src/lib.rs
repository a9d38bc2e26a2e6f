//! The order service: `POST /orders` writes an order and the event about it in one transaction, and answers 201.
//!
//! The service needs no broker: Debezium reads the committed events from the database and publishes them. `messagekit
//! migrate` creates the tables of messagekit, and the service creates its own.

mod event;
mod http;
mod log;
mod metrics;
mod order;
mod orders;
mod problem;
mod settings;
mod tables;

use messagekit::{Error, Outbox, Shutdown};
use messagekit_postgres::PostgresStore;

pub use settings::{SETTINGS, Settings};

use orders::Orders;

/// Accepts orders until SIGTERM or Ctrl-C, answers the requests in flight, and returns.
///
/// # Errors
/// Returns an error when the database is not reachable or lacks the tables of messagekit, or when the address is in use.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let _telemetry = log::start(settings.log)?;
    let shutdown = Shutdown::on_signal()?;
    let store = PostgresStore::connect(&settings.database_url).await?;
    tables::create(&store).await?;
    let outbox = Outbox::new(store, "order-service")?.topic_prefix(settings.name_prefix);
    let (registry, outcomes) = metrics::register()?;
    let orders = Orders::new(outbox, settings.limit_pence, outcomes);
    http::serve(settings.listen, orders, registry, shutdown).await
}
