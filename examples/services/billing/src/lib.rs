//! The billing service: a consumer that writes a bill for each order, once, and tells others about it.
//!
//! The bill, the customer's total, the event and the mark "processed" are one transaction. The tables of messagekit are made
//! by `messagekit migrate`, its own by the service itself.

mod billing;
mod events;
mod log;
mod settings;
mod tables;

use std::io::Write;
use std::sync::Arc;

use messagekit::{Consumer, Error, Event, OnFailure, Outbox, Shutdown};
use messagekit_kafka::Kafka;
use messagekit_postgres::PostgresStore;

pub use settings::{SETTINGS, Settings};

use billing::Billing;
use events::OrderPlaced;

/// Bills orders until SIGTERM or Ctrl-C, finishes what is in work, and ends.
///
/// # Errors
/// When the database does not answer at the start or lacks the tables of messagekit, or when the consumer ends by itself.
pub async fn run(settings: Settings) -> Result<(), Error> {
    log::start(settings.log);
    let shutdown = Shutdown::on_signal()?;
    let store = PostgresStore::connect(&settings.database_url).await?;
    tables::create(&store).await?;
    let prefix = settings.name_prefix;
    let mut orders = Kafka::new(&settings.brokers).topics([format!("{prefix}{}", OrderPlaced::TOPIC)]);
    if let Some(instance) = settings.instance {
        orders = orders.instance_id(instance);
    }
    let outbox = Outbox::new(store.clone(), "billing-service").topic_prefix(prefix.as_str());
    let billing = Arc::new(Billing::new(outbox));
    let consumer = Consumer::builder(format!("{prefix}billing"), store)
        .from(orders)
        .on_with(billing, Billing::placed)
        // Orders of a customer do not build on each other: one that cannot be billed holds up no other.
        .on_failure(OnFailure::DeadLetter)
        .build()?;
    // Whoever waits for the line may have left; that is no reason to end.
    writeln!(std::io::stdout(), "ready").ok();
    consumer.run(shutdown).await
}
