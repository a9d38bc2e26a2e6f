//! The shipping service: a consumer that writes one shipment for each bill.
//!
//! Bills come from RabbitMQ, where the bridge publishes them. The shipment and the processed marker are one transaction.
//! `messagekit migrate` creates the tables of messagekit, and the service creates its own.

mod bill;
mod queue;
mod settings;
mod tables;

use messagekit::{Consumer, Error};
use messagekit_postgres::PostgresStore;
use messagekit_service::Service;

pub use settings::SETTINGS;

pub use queue::{EXCHANGE, FAILED_MESSAGES, QUEUE};

/// Ships billed orders until SIGTERM or Ctrl-C, finishes the messages in flight, and returns.
///
/// # Errors
/// Returns an error when the settings cannot be used, when the database is not reachable at the start or lacks the tables of messagekit,
/// when the address for health and metrics is in use, or when the consumer stops by itself.
pub async fn run(service: Service) -> Result<(), Error> {
    let (database_url, rabbitmq) = settings::read(&service)?;
    let store = PostgresStore::connect(database_url.expose()).await?;
    tables::create(&store).await?;
    queue::declare(&rabbitmq).await?;
    let bills = rabbitmq.queue(QUEUE);
    let consumer = Consumer::builder("shipping", store.clone()).from(bills).on(bill::ship).build()?;
    service.store("shipping", store).consumer(consumer).run().await
}
