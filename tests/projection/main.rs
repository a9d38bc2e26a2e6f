//! A projection that is primed, for tests that kill it: `projection NAME DATABASE LOG [--force] TOPIC…`, where the database is `sqlite:PATH` or
//! `postgres://…`, and the log `sqlite:PATH` or `kafka:BROKERS`.
//!
//! What it has seen is a row of `projected` for each record, in the order in which they came. It prints `ready` once it has its database, and
//! `past` when the last record of the past is handled, and exits when its standard input closes, so that it does not outlive its test.
#![allow(clippy::print_stderr, clippy::print_stdout, reason = "a program of the tests talks to its reader")]

mod effects;

use std::io::Read;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::Source;
use messagekit::consumer::PrimingProgress;
use messagekit::log::{Log, OrderedReader, Start};
use messagekit::{Consumer, Error, HandlerError, Message, Shutdown, chain};
use messagekit_kafka::Kafka;
use messagekit_postgres::PostgresStore;
use messagekit_sqlite::SqliteStore;

use self::effects::Effects;

/// A busy machine must not look like a writer that misbehaves.
const LIMIT: Duration = Duration::from_secs(60);
/// The log of a file is short: several batches make several places at which the process may die.
const BATCH_OF_A_FILE: usize = 50;
const BATCH_OF_KAFKA: usize = 10_000;

/// The command line.
struct Arguments {
    name: String,
    database: String,
    log: String,
    is_forced: bool,
    topics: Vec<String>,
}

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let (Some(name), Some(database), Some(log)) = (words.next(), words.next(), words.next()) else {
        eprintln!("usage: projection NAME DATABASE LOG [--force] TOPIC…");
        return ExitCode::from(2);
    };
    let (force, topics): (Vec<String>, _) = words.partition(|word| word == "--force");
    match run(Arguments { name, database, log, is_forced: !force.is_empty(), topics }).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("projection: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<(), Error> {
    match arguments.database.strip_prefix("sqlite:") {
        Some(path) => with_store(file(path).await?, arguments).await,
        None => with_store(PostgresStore::connect(&arguments.database).await?, arguments).await,
    }
}

async fn file(path: &str) -> Result<SqliteStore, Error> {
    Ok(SqliteStore::options().transaction_timeout(LIMIT).busy_timeout(LIMIT).open(path).await?)
}

async fn with_store<S: Effects>(store: S, arguments: Arguments) -> Result<(), Error> {
    store.create_table().await?;
    println!("ready");
    if let Some(brokers) = arguments.log.strip_prefix("kafka:") {
        // A member that was killed is back at once: it has a name in its group.
        let kafka = Kafka::new(brokers).set("fetch.wait.max.ms", "50")?;
        let source = kafka.topics(arguments.topics.clone()).instance_id("projection");
        return project(store, source, Arc::new(kafka.log()), BATCH_OF_KAFKA, arguments).await;
    }
    // One handle for a file that is both.
    let log = match store.as_file().filter(|_| arguments.log == arguments.database) {
        Some(file) => file,
        None => file(arguments.log.strip_prefix("sqlite:").unwrap_or(&arguments.log)).await?,
    };
    let source = log.topics(arguments.topics.clone());
    project(store, source, Arc::new(log), BATCH_OF_A_FILE, arguments).await
}

/// Primes the projection and goes on until standard input closes.
async fn project<S: Effects, Src: Source>(
    store: S,
    source: Src,
    log: Arc<dyn Log>,
    batch: usize,
    arguments: Arguments,
) -> Result<(), Error> {
    let reader = OrderedReader::builder().batch_size(batch);
    let reader = arguments
        .topics
        .into_iter()
        .fold(reader, |reader, topic| reader.source(log.clone(), topic, Start::Earliest));
    let consumer = Consumer::builder(arguments.name, store).from(source);
    let consumer = consumer.fallback(note::<S>).build()?;
    let mut is_past = false;
    let say_when_past = move |progress: &PrimingProgress| {
        if progress.done == progress.total && !std::mem::replace(&mut is_past, true) {
            println!("past");
        }
    };
    let primed = consumer.prime(reader).on_progress(say_when_past);
    let primed = if arguments.is_forced { primed.force() } else { primed };
    primed.run(until_input_closes()).await
}

async fn note<S: Effects>(tx: &mut S::Tx, message: Message) -> Result<(), HandlerError> {
    let number = String::from_utf8_lossy(&message.payload);
    S::note(tx, number.parse().map_err(|_| HandlerError::permanent("payload is no number"))?).await
}

/// Waits for the end of stdin: the kernel closes the pipe when the test exits or crashes.
fn until_input_closes() -> Shutdown {
    let shutdown = Shutdown::new();
    let closed = shutdown.clone();
    std::thread::spawn(move || {
        let mut input = std::io::stdin().lock();
        while input.read(&mut [0; 64]).is_ok_and(|bytes| bytes > 0) {}
        closed.request();
    });
    shutdown
}
