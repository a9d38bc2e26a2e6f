//! cargo run --release -p messagekit-benches --bin bridge -- --kafka ADDRESS --rabbitmq URL --database URL
//!
//! The bridge beside a bare publisher with as many unconfirmed messages, and beside a bridge that takes one message at a time:
//! claim it in a database, publish it, wait for the confirm, commit. All publish the same messages to the same quorum queue.

mod bare;
mod bridged;
mod cells;
#[path = "../postgres/database.rs"]
mod database;
mod one_by_one;
mod place;

use std::process::ExitCode;

use clap::Parser;
use messagekit_benches::{Outcome, Report, Rounds, exit_code};

use cells::{Measured, RATIOS};
use database::Database;
use place::Place;

/// The bridge beside a bare publisher and beside one message at a time.
#[derive(Debug, Parser)]
pub(crate) struct Options {
    /// Brokers of Kafka
    #[arg(long, value_name = "ADDRESS", env = "MESSAGEKIT_TEST_KAFKA")]
    kafka: String,
    /// A RabbitMQ server, where an exchange and a queue are made and deleted
    #[arg(long, value_name = "URL", env = "MESSAGEKIT_TEST_AMQP_URL", hide_env_values = true)]
    rabbitmq: String,
    /// A PostgreSQL server for the claims of one message at a time, as the URL of one of its databases
    #[arg(long, value_name = "URL", env = "MESSAGEKIT_TEST_POSTGRES_URL", hide_env_values = true)]
    database: String,
    #[command(flatten)]
    rounds: Rounds,
    /// Messages per cell and round; one message at a time takes a twentieth
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    messages: u32,
    /// Unconfirmed messages at a time
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    unconfirmed: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code("bridge", run(Options::parse()).await)
}

async fn run(options: Options) -> Outcome<()> {
    let database = Database::create(&options.database).await?;
    let outcome = tokio::select! {
        outcome = measure(&options, database.url()) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    outcome.and(database.drop().await)
}

async fn measure(options: &Options, database: &str) -> Outcome<()> {
    let place = Place::make(options).await?;
    let heading = format!("{} messages of 1 KiB, {} unconfirmed", options.messages, options.unconfirmed);
    let mut report = Report::new(heading, &RATIOS);
    let store = one_by_one::store(database).await?;
    // Connections, leaders and caches are there before anything is timed.
    bare::publish(&place, 1_000).await?;
    let messages = options.messages as usize;
    for _ in options.rounds.run() {
        report.add(Measured::Bare, bare::publish(&place, messages).await?);
        report.add(Measured::Bridge, bridged::forward(&place, messages).await?);
        report.add(Measured::OneByOne, one_by_one::forward(&place, &store, messages / 20).await?);
    }
    place.remove().await?;
    options.rounds.print(&report);
    Ok(())
}
