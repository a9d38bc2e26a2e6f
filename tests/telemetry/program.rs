//! A program with telemetry, on one SQLite file.
//!
//! `traced write FILE COUNT` adds that many events, each with a trace of its own. `traced request FILE` adds one event inside
//! the span of a request, whose caller is the variable `TRACEPARENT`. `traced tick FILE` adds an event each 20 ms until the
//! file `FILE.stop` exists. `traced consume FILE COUNT` applies events until so many
//! were handled: the one of order `fails-once` fails at its first run, and the one of order `hangs` never ends while the file
//! `FILE.hangs` exists; its metrics are exported too. `traced rolled-back FILE CAUSE` applies two orders in memory, whose first transaction is rolled back. All print what became of their spans.
#![allow(
    clippy::print_stderr,
    clippy::print_stdout,
    reason = "a program of the tests tells its reader what it did"
)]

mod in_memory;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use messagekit::adapter::BatchLimit;
use messagekit::{Backoff, Consumer, Envelope, Error, Event, HandlerError, Outbox, Shutdown, Store, chain};
use messagekit_prometheus::Metrics;
use messagekit_sqlite::{SqliteStore, SqliteTx};
use prometheus::Registry;
use serde::{Deserialize, Serialize};
use tracing::Instrument;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    card: String,
}

/// Stands in the payload and in the text of an error, and must appear in no span.
const SECRET: &str = "4929-planted-card";

/// The time of a transaction whose handler hangs. Were it shorter than what a busy machine takes to kill the program, the first
/// message would be committed without the second one.
const UNTIL_KILLED: Duration = Duration::from_secs(600);

#[tokio::main]
async fn main() -> ExitCode {
    let guard = match messagekit_telemetry::init("traced") {
        Ok(guard) => guard,
        Err(error) => {
            eprintln!("traced: {}", chain(&error));
            return ExitCode::from(2);
        }
    };
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match *arguments {
        ["write", file, count] => write(Path::new(file), count.parse().expect("a count")).await,
        ["tick", file] => tick(Path::new(file)).await,
        ["request", file] => request(Path::new(file)).await,
        ["rolled-back", _, cause] => in_memory::rolled_back(cause).await,
        ["consume", file, count] => consume(Path::new(file), count.parse().expect("a count")).await,
        _ => panic!("no such command: {arguments:?}"),
    };
    if let Err(error) = done {
        eprintln!("traced: {}", chain(&error));
        return ExitCode::FAILURE;
    }
    let (before, started) = (guard.spans(), Instant::now());
    let (dropped, failed) = (before.dropped, before.failed);
    match guard.shutdown() {
        Ok(()) => println!("all exported, {dropped} dropped"),
        Err(error) => {
            let took = started.elapsed().as_millis();
            println!("{error}, {dropped} dropped, {failed} failed before the end, in {took} ms");
        }
    }
    ExitCode::SUCCESS
}

/// Opens the file for transactions that a busy machine may stop for a while.
async fn open(file: &Path) -> Result<SqliteStore, Error> {
    let patient = Duration::from_secs(120);
    Ok(SqliteStore::options().transaction_timeout(patient).busy_timeout(patient).open(file).await?)
}

async fn write(file: &Path, count: usize) -> Result<(), Error> {
    let store = open(file).await?;
    let outbox = Outbox::new(store.clone(), "shop").expect("a plain name");
    let orders: Vec<usize> = (0..count).collect();
    for some in orders.chunks(100) {
        let mut tx = store.begin().await?;
        let events = some.iter().map(|n| order(&format!("o-{n}")));
        outbox.add_all(&mut tx, events).await?;
        outbox.commit(tx).await?;
    }
    Ok(store.close().await?)
}

async fn tick(file: &Path) -> Result<(), Error> {
    let store = open(file).await?;
    let outbox = Outbox::new(store.clone(), "shop").expect("a plain name");
    while !Path::new(&format!("{}.stop", file.display())).exists() {
        let mut tx = store.begin().await?;
        outbox.add(&mut tx, order("o-1")).await?;
        outbox.commit(tx).await?;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(store.close().await?)
}

async fn request(file: &Path) -> Result<(), Error> {
    let store = open(file).await?;
    let outbox = Outbox::new(store.clone(), "shop").expect("a plain name");
    let order_id = std::env::var("ORDER").unwrap_or_else(|_| "o-1".to_owned());
    let span = messagekit_telemetry::request_span("POST", "/orders", header);
    async {
        let mut tx = store.begin().await?;
        outbox.add(&mut tx, order(&order_id)).await?;
        outbox.commit(tx).await
    }
    .instrument(span)
    .await?;
    Ok(store.close().await?)
}

/// Returns a header of the request of the caller that the environment names.
fn header(name: &'static str) -> Option<&'static str> {
    static CALLER: LazyLock<Option<String>> = LazyLock::new(|| std::env::var("TRACEPARENT").ok());
    match name {
        "traceparent" => CALLER.as_deref(),
        "tracestate" => Some("vendor=1"),
        _ => None,
    }
}

fn order(order_id: &str) -> OrderPlaced {
    OrderPlaced { order_id: order_id.to_owned(), card: SECRET.to_owned() }
}

/// What the handler has done, and the file that makes it hang.
struct Billing {
    failed: AtomicBool,
    hangs: PathBuf,
}

impl Billing {
    async fn placed(&self, _: &mut SqliteTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        let order_id = &*order.data.order_id;
        tracing::info!(order_id, "billing");
        if order_id == "hangs" && self.hangs.exists() {
            std::future::pending::<()>().await;
        }
        if order_id == "fails-once" && !self.failed.swap(true, Ordering::Relaxed) {
            return Err(HandlerError::retryable(format!("card {} is refused", order.data.card)));
        }
        Ok(())
    }
}

async fn consume(file: &Path, count: u64) -> Result<(), Error> {
    let store = SqliteStore::options().transaction_timeout(UNTIL_KILLED).open(file).await?;
    let hangs = PathBuf::from(format!("{}.hangs", file.display()));
    let billing = Arc::new(Billing { failed: AtomicBool::new(false), hangs });
    let consumer = Consumer::builder("billing", store.clone())
        .from(store.topics(["orders.order"]))
        .on_with(billing, Billing::placed)
        .deadline(UNTIL_KILLED)
        .batch(BatchLimit { time: UNTIL_KILLED, ..BatchLimit::DEFAULT })
        .backoff(Backoff::fixed(Duration::from_millis(100)))
        .build()?;
    let registry = Registry::new();
    Metrics::new(&registry)?.consumer("billing", consumer.stats());
    let _exported = messagekit_telemetry::MetricsGuard::from_env("traced", &registry)?;
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    while stats.read().handled < count {
        assert!(!running.is_finished(), "the consumer ended");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    shutdown.request();
    running.await.expect("no panic")?;
    Ok(store.close().await?)
}
