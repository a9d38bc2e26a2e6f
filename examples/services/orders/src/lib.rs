//! The order service: `POST /orders` writes an order and the event about it in one transaction, and answers 201.
//!
//! The service needs no broker: Debezium reads the committed events from the database and publishes them. `messagekit
//! migrate` creates the tables of messagekit, and the service creates its own.

mod event;
mod http;
mod metrics;
mod order;
mod orders;
mod problem;
mod settings;
mod tables;

use messagekit::{Error, Outbox};
use messagekit_postgres::PostgresStore;
use messagekit_service::Service;

pub use settings::SETTINGS;

use orders::Orders;
use settings::Settings;

/// Accepts orders until SIGTERM or Ctrl-C, answers the requests in flight, and returns.
///
/// # Errors
/// Returns an error when the settings cannot be used, when the database is not reachable or lacks the tables of messagekit, or when the
/// address is in use.
pub async fn run(service: Service) -> Result<(), Error> {
    let Settings { database_url, limit_pence, name_prefix } = Settings::read(&service)?;
    let store = PostgresStore::connect(database_url.expose()).await?;
    tables::create(&store).await?;
    let outbox = Outbox::new(store.clone(), "order-service")?.topic_prefix(name_prefix);
    let orders = Orders::new(outbox, limit_pence, metrics::register(service.registry())?);
    service.store("orders", store).routes(http::routes(orders)).run().await
}
