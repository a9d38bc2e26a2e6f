//! The shipping service: a consumer that writes a shipment for each bill, once.
//!
//! Bills come from RabbitMQ, where the bridge has put them. The shipment and the mark "processed" are one transaction. The tables
//! of messagekit are made by `messagekit migrate`, its own by the service itself.

mod bill;
mod log;
mod queue;
mod settings;
mod tables;

use std::io::Write;

use messagekit::{Consumer, Error, Shutdown};
use messagekit_postgres::PostgresStore;

pub use settings::{SETTINGS, Settings};

pub use queue::{EXCHANGE, FAILED_MESSAGES, QUEUE};

/// Ships what was billed until SIGTERM or Ctrl-C, finishes what is in work, and ends.
///
/// # Errors
/// When the database does not answer at the start or lacks the tables of messagekit, or when the consumer ends by itself.
pub async fn run(settings: Settings) -> Result<(), Error> {
    log::start(settings.log);
    let shutdown = Shutdown::on_signal()?;
    let store = PostgresStore::connect(&settings.database_url).await?;
    tables::create(&store).await?;
    queue::declare(&settings.rabbitmq).await?;
    let bills = settings.rabbitmq.queue(QUEUE);
    let consumer = Consumer::builder("shipping", store).from(bills).on(bill::ship).build()?;
    // Whoever waits for the line may have left; that is no reason to end.
    writeln!(std::io::stdout(), "ready").ok();
    consumer.run(shutdown).await
}
