//! cargo run --release -p messagekit-benches --bin postgres -- --database URL
//!
//! The outbox and the consumer on PostgreSQL beside the same statements by hand. The consumer reads a log in memory, so
//! that no broker is measured.

mod add;
mod cells;
mod consume;
mod database;
mod hand;
mod tables;

use std::process::ExitCode;

use clap::Parser;
use messagekit_benches::{Outcome, Report, Rounds, exit_code};

use cells::{Measured, RATIOS};
use database::Database;
use tables::Tables;

/// The outbox and the consumer on PostgreSQL beside the same statements by hand.
#[derive(Debug, Parser)]
struct Options {
    /// A PostgreSQL server, as the URL of one of its databases, where a database of its own is made, and dropped at the end
    #[arg(long, value_name = "URL", env = "MESSAGEKIT_TEST_POSTGRES_URL", hide_env_values = true)]
    database: String,
    #[command(flatten)]
    rounds: Rounds,
    /// Events per cell and round; cells with one commit per event take a quarter or less
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1_000..=1_000_000))]
    events: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code("postgres", run(Options::parse()).await)
}

async fn run(options: Options) -> Outcome<()> {
    let database = Database::create(&options.database).await?;
    let outcome = tokio::select! {
        outcome = measure(&options, database.url()) => outcome,
        _ = tokio::signal::ctrl_c() => Err("interrupted".into()),
    };
    outcome.and(database.drop().await)
}

async fn measure(options: &Options, url: &str) -> Outcome<()> {
    let tables = Tables::create(url).await?;
    let mut report = Report::new(tables.settings().await?, &RATIOS);
    let events = options.events as usize;
    // Connections and plans are made before anything is timed.
    consume::engine(&tables, 1_000, false).await?;
    for _ in options.rounds.run() {
        let one = add::compare(&tables, events / 10, 1).await?;
        report.add(Measured::AddOutbox, one.outbox);
        report.add(Measured::AddHand, one.hand);
        let many = add::compare(&tables, events / 100, 50).await?;
        report.add(Measured::AddAllOutbox, many.outbox);
        report.add(Measured::AddAllHand, many.hand);

        report.add(Measured::Consume, consume::engine(&tables, events, false).await?);
        report.add(Measured::ConsumeHand, hand::consume(&tables, events).await?);
        report.add(Measured::ConsumeOneByOne, consume::engine(&tables, events / 4, true).await?);
    }
    options.rounds.print(&report);
    Ok(())
}
