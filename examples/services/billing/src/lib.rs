//! The billing service: a consumer that writes one bill for each order, and an event about it.
//!
//! The bill, the customer's total, the event and the processed marker are one transaction. `messagekit migrate` creates the
//! tables of messagekit, and the service creates its own.

mod billing;
mod events;
mod http;
mod log;
mod settings;
mod tables;

use std::io::Write;
use std::sync::Arc;

use messagekit::{Consumer, Error, Event, OnFailure, Outbox, Runner, Shutdown};
use messagekit_kafka::Kafka;
use messagekit_postgres::PostgresStore;

pub use settings::{SETTINGS, Settings};

use billing::Billing;
use events::OrderPlaced;

/// Bills orders until SIGTERM or Ctrl-C, finishes the messages in flight, and returns.
///
/// # Errors
/// Returns an error when the database is not reachable at the start or lacks the tables of messagekit, when the address for
/// health and metrics is in use, or when the consumer stops by itself.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let _telemetry = log::start(settings.log)?;
    let shutdown = Shutdown::on_signal()?;
    let store = PostgresStore::connect(&settings.database_url).await?;
    tables::create(&store).await?;
    let prefix = settings.name_prefix;
    let mut orders = Kafka::new(&settings.brokers).topics([format!("{prefix}{}", OrderPlaced::TOPIC)]);
    if let Some(instance) = settings.instance {
        orders = orders.instance_id(instance);
    }
    let outbox = Outbox::new(store.clone(), "billing-service")?.topic_prefix(prefix.as_str());
    let billing = Arc::new(Billing::new(outbox));
    let name = format!("{prefix}billing");
    let consumer = Consumer::builder(name.as_str(), store.clone())
        .from(orders)
        .on_with(billing, Billing::placed)
        // Orders of a customer do not depend on each other: one that cannot be billed blocks no other.
        .on_failure(OnFailure::DeadLetter)
        .build()?;
    let (listener, address) = http::listen(settings.listen).await?;
    let routes = http::routes(store, &name, consumer.stats())?;
    // Ignore a closed stdout: the reader may have exited.
    writeln!(std::io::stdout(), "listening on http://{address}").ok();
    // Parts stop in reverse order: the port answers until the last message in flight is settled.
    Runner::new()
        .part("http", |shutdown| messagekit_admin::serve(listener, routes, shutdown))
        .part("billing", |shutdown| consumer.run(shutdown))
        .run(shutdown)
        .await
}
