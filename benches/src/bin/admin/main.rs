//! cargo run --release -p messagekit-benches --bin admin -- --database URL
//!
//! The first page of dead letters over HTTP beside the statement behind it, over a table with many of them.

mod cells;
mod client;
#[path = "../postgres/database.rs"]
mod database;
mod letters;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use clap::Parser;
use messagekit::Shutdown;
use messagekit_admin::{Admin, Role, Token, Tokens};
use messagekit_benches::{Outcome, Report, Rounds, exit_code};
use messagekit_postgres::{PostgresStore, migrations};
use sqlx::{Connection, PgConnection};
use tokio::net::TcpListener;

use cells::{Measured, RATIOS};
use client::Client;
use database::Database;

/// The first page of dead letters over HTTP beside the statement behind it.
#[derive(Debug, Parser)]
struct Options {
    /// A PostgreSQL server, as the URL of one of its databases, where a database of its own is made, and dropped at the end
    #[arg(long, value_name = "URL", env = "MESSAGEKIT_TEST_POSTGRES_URL", hide_env_values = true)]
    database: String,
    #[command(flatten)]
    rounds: Rounds,
    /// Dead letters in the table
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    letters: u32,
    /// Pages per cell and round
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=100_000))]
    pages: u32,
}

#[tokio::main]
async fn main() -> ExitCode {
    exit_code("admin", run(Options::parse()).await)
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
    migrations::migrate(url).await?;
    let mut connection = PgConnection::connect(url).await?;
    letters::fill(&mut connection, options.letters).await?;

    let token = Token::generate()?;
    let mut tokens = Tokens::new();
    tokens.add("bench", Role::Viewer, token.hash())?;
    let store = PostgresStore::connect(url).await?;
    let admin = Admin::builder().database("bench", Arc::new(store)).tokens(tokens).build()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let mut client = Client::connect(listener.local_addr()?, token.secret()).await?;
    let shutdown = Shutdown::new();
    let asked = shutdown.clone();
    let served = tokio::spawn(async move { admin.serve(listener, asked).await });

    let heading = format!("{} dead letters, pages of 100", options.letters);
    let mut report = Report::new(heading, &RATIOS);
    for _ in options.rounds.run() {
        for (plain, over_http, filter) in [
            (Measured::Statement, Measured::Page, ""),
            (Measured::StatementOfDead, Measured::PageOfDead, "dead"),
        ] {
            // Once before it is timed, for connections and caches.
            letters::page(&mut connection, filter).await?;
            let began = Instant::now();
            for _ in 0..options.pages {
                letters::page(&mut connection, filter).await?;
            }
            report.add(plain, began.elapsed().as_secs_f64() * 1e6 / f64::from(options.pages));

            let query = if filter.is_empty() { String::new() } else { format!("?state={filter}") };
            let path = format!("/api/v1/dlq{query}");
            client.get(&path).await?;
            let began = Instant::now();
            for _ in 0..options.pages {
                client.get(&path).await?;
            }
            report.add(over_http, began.elapsed().as_secs_f64() * 1e6 / f64::from(options.pages));
        }
    }
    shutdown.request();
    drop(client);
    served.await??;
    options.rounds.print(&report);
    Ok(())
}
