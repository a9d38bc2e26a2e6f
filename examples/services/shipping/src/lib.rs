//! The shipping service: a consumer that writes one shipment for each bill.
//!
//! Bills come from RabbitMQ, where the bridge publishes them. The shipment and the processed marker are one transaction.
//! `messagekit migrate` creates the tables of messagekit, and the service creates its own.

mod bill;
mod http;
mod log;
mod queue;
mod settings;
mod tables;

use std::io::Write;

use messagekit::{Consumer, Error, Runner, Shutdown};
use messagekit_postgres::PostgresStore;

pub use settings::{SETTINGS, Settings};

pub use queue::{EXCHANGE, FAILED_MESSAGES, QUEUE};

const CONSUMER: &str = "shipping";

/// Ships billed orders until SIGTERM or Ctrl-C, finishes the messages in flight, and returns.
///
/// # Errors
/// Returns an error when the database is not reachable at the start or lacks the tables of messagekit, when the address for
/// health and metrics is in use, or when the consumer stops by itself.
pub async fn run(settings: Settings) -> Result<(), Error> {
    let _telemetry = log::start(settings.log)?;
    let shutdown = Shutdown::on_signal()?;
    let store = PostgresStore::connect(&settings.database_url).await?;
    tables::create(&store).await?;
    queue::declare(&settings.rabbitmq).await?;
    let bills = settings.rabbitmq.queue(QUEUE);
    let consumer = Consumer::builder(CONSUMER, store.clone()).from(bills).on(bill::ship).build()?;
    let (listener, address) = http::listen(settings.listen).await?;
    let routes = http::routes(store, CONSUMER, consumer.stats())?;
    // Ignore a closed stdout: the reader may have exited.
    writeln!(std::io::stdout(), "listening on http://{address}").ok();
    // Parts stop in reverse order: the port answers until the last message in flight is settled.
    Runner::new()
        .part("http", |shutdown| messagekit_admin::serve(listener, routes, shutdown))
        .part("shipping", |shutdown| consumer.run(shutdown))
        .run(shutdown)
        .await
}
