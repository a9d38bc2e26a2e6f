//! The billing service: a consumer that writes one bill for each order, and an event about it.
//!
//! The bill, the customer's total, the event and the processed marker are one transaction. `messagekit migrate` creates the
//! tables of messagekit, and the service creates its own.

mod billing;
mod events;
mod settings;
mod tables;

use std::sync::Arc;

use messagekit::{Consumer, Error, Event, OnFailure, Outbox};
use messagekit_postgres::PostgresStore;
use messagekit_service::Service;

pub use settings::SETTINGS;

use billing::Billing;
use events::OrderPlaced;
use settings::Settings;

/// Bills orders until SIGTERM or Ctrl-C, finishes the messages in flight, and returns.
///
/// # Errors
/// Returns an error when the settings cannot be used, when the database is not reachable at the start or lacks the tables of messagekit,
/// when the address for health and metrics is in use, or when the consumer stops by itself.
pub async fn run(service: Service) -> Result<(), Error> {
    let Settings { database_url, kafka, instance, name_prefix: prefix } = Settings::read(&service)?;
    let store = PostgresStore::connect(database_url.expose()).await?;
    tables::create(&store).await?;
    let mut orders = kafka.topics([format!("{prefix}{}", OrderPlaced::TOPIC)]);
    if let Some(instance) = instance {
        orders = orders.instance_id(instance);
    }
    let outbox = Outbox::new(store.clone(), "billing-service")?.topic_prefix(prefix.as_str());
    let consumer = Consumer::builder(format!("{prefix}billing"), store.clone())
        .from(orders)
        .on_with(Arc::new(Billing::new(outbox)), Billing::placed)
        // Orders of a customer do not depend on each other: one that cannot be billed blocks no other.
        .on_failure(OnFailure::DeadLetter)
        .build()?;
    service.store("billing", store).consumer(consumer).run().await
}
