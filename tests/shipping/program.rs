//! A worker that ships changed orders, for tests that kill it: `shipping-worker DATABASE`, where the database is `sqlite:PATH` or
//! `postgres://…`.
//!
//! It claims the events of the topic `shop.orders`. Each event that it gets is noted in `deliveries` in a commit of its own; its effect, a
//! row of `shipped`, is committed with the acknowledgement. It exits when its standard input closes, and prints `ready` once it has the
//! database.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program of the tests talks to its reader")]

use std::future::Future;
use std::io::Read;
use std::process::ExitCode;
use std::time::Duration;

use messagekit::{Error, ErrorKind, Shutdown, chain, headers};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_tests::shipping::CLAIM;
use messagekit_topic_store::{Claimed, RecordClaim, RecordClaimer, RecordClaims, Which};

/// Longer than any test: only the end of a process frees what it has claimed.
const LEASE: Duration = Duration::from_secs(86_400);
/// A busy machine must not look like a worker that misbehaves.
const LIMIT: Duration = Duration::from_secs(60);

/// A database that keeps what the worker does.
trait Ledger: RecordClaims {
    fn note(
        &self,
        tx: &mut Self::Tx,
        table: &'static str,
        ids: &[String],
    ) -> impl Future<Output = Result<(), Error>>;
}

impl Ledger for SqliteStore {
    async fn note(&self, tx: &mut SqliteTx, table: &'static str, ids: &[String]) -> Result<(), Error> {
        for id in ids.iter().cloned() {
            tx.call(move |c| c.execute(&format!("INSERT INTO {table} (event_id) VALUES (?1)"), [id])).await?;
        }
        Ok(())
    }
}

impl Ledger for PostgresStore {
    async fn note(&self, tx: &mut PgTx, table: &'static str, ids: &[String]) -> Result<(), Error> {
        let insert = match table {
            "deliveries" => "INSERT INTO deliveries (event_id) SELECT unnest($1::text[])",
            _ => "INSERT INTO shipped (event_id) SELECT unnest($1::text[])",
        };
        let done = sqlx::query(insert).bind(ids).execute(&mut **tx).await;
        done.map(drop)
            .map_err(|error| Error::new(ErrorKind::Other, "worker cannot note an event").caused_by(error))
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("shipping-worker: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Error> {
    let database = std::env::args().nth(1).unwrap_or_default();
    let shutdown = Shutdown::new();
    until_input_closes(&shutdown);
    match database.strip_prefix("sqlite:") {
        Some(path) => {
            let options = SqliteStore::options().transaction_timeout(LIMIT).busy_timeout(LIMIT);
            work(options.open(path).await?, shutdown).await
        }
        None => work(PostgresStore::connect(&database).await?, shutdown).await,
    }
}

async fn work<S: Ledger + Clone>(store: S, shutdown: Shutdown) -> Result<(), Error> {
    println!("ready");
    let worker = RecordClaimer::new(store.clone(), "shipping", "shop.orders").lease(LEASE);
    while !shutdown.is_requested() {
        let Claimed::Records(claim) = worker.claim(CLAIM).await? else {
            tokio::time::sleep(Duration::from_millis(2)).await;
            continue;
        };
        ship(&store, &worker, &claim).await?;
    }
    Ok(())
}

async fn ship<S: Ledger>(store: &S, worker: &RecordClaimer<S>, claim: &RecordClaim) -> Result<(), Error> {
    let ids: Vec<String> = claim
        .records
        .iter()
        .map(|claimed| claimed.record.message.headers.text(headers::ID).unwrap_or_default().to_owned())
        .collect();
    let mut tx = store.begin().await?;
    store.note(&mut tx, "deliveries", &ids).await?;
    store.commit(tx).await?;
    let mut tx = store.begin().await?;
    store.note(&mut tx, "shipped", &ids).await?;
    worker.acknowledge_in(&mut tx, claim, Which::All).await?;
    store.commit(tx).await
}

/// Waits for the end of stdin: the kernel closes the pipe when the test exits or crashes.
fn until_input_closes(shutdown: &Shutdown) {
    let shutdown = shutdown.clone();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while input.read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {}
        shutdown.request();
    });
}
