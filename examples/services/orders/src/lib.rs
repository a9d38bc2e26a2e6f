//! The order service: `POST /orders` writes an order and the event about it in one transaction, and answers 201.
//!
//! It knows no broker: Debezium reads the committed events from the database and publishes them. The tables of messagekit
//! are made by `messagekit migrate`, its own by the service itself.

mod event;
mod http;
mod log;
mod order;
mod orders;
mod problem;
mod settings;
mod tables;

use messagekit::{Error, Outbox, Shutdown};
use messagekit_postgres::PostgresStore;

pub use settings::{SETTINGS, Settings};

use orders::Orders;

/// Takes orders until SIGTERM or Ctrl-C, answers what is in flight, and ends.
///
/// # Errors
/// When the database does not answer or lacks the tables of messagekit, or when the address is taken.
pub async fn run(settings: Settings) -> Result<(), Error> {
    log::start(settings.log);
    let shutdown = Shutdown::on_signal()?;
    let store = PostgresStore::connect(&settings.database_url).await?;
    tables::create(&store).await?;
    let outbox = Outbox::new(store, "order-service").topic_prefix(settings.name_prefix);
    let orders = Orders::new(outbox, settings.limit_pence);
    http::serve(settings.listen, orders, shutdown).await
}
