//! cargo run -q -p messagekit-examples --bin 15-prime-then-live
//!
//! A projection over two topics of one file: it handles their past in the order of time, is stopped in the middle, resumes behind its last
//! commit, and goes on with what is new. Nothing needs to be installed.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "an example talks to its reader")]

use std::error::Error;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use messagekit::adapter::BatchLimit;
use messagekit::consumer::PrimedConsumer;
use messagekit::log::{OrderedReader, Start};
use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store, chain};
use messagekit_sqlite::{SqliteSource, SqliteStore, SqliteTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "shop.order.placed", key = "customer")]
struct OrderPlaced {
    customer: String,
    pence: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "shop.payment.received", key = "customer")]
struct PaymentReceived {
    customer: String,
    pence: i64,
}

/// What each customer owes. Ends its run when it has seen a number of events.
struct Projection {
    seen: Mutex<Vec<String>>,
    last: usize,
    stop: Shutdown,
}

impl Projection {
    async fn note(&self, tx: &mut SqliteTx, customer: String, pence: i64) -> Result<(), HandlerError> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        seen.push(format!("{customer} {pence:+}"));
        tx.call(move |c| {
            let upsert = "INSERT INTO owed VALUES (?1, ?2) ON CONFLICT DO UPDATE SET pence = pence + ?2";
            c.execute(upsert, (customer, pence))
        })
        .await?;
        if seen.len() == self.last {
            self.stop.request();
        }
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = seen;
        Ok(())
    }

    async fn on_order(&self, tx: &mut SqliteTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        self.note(tx, order.data.customer, order.data.pence).await
    }

    async fn on_payment(
        &self,
        tx: &mut SqliteTx,
        paid: Envelope<PaymentReceived>,
    ) -> Result<(), HandlerError> {
        self.note(tx, paid.data.customer, -paid.data.pence).await
    }
}

/// The projection as a service starts it, at every start.
fn owed(
    store: &SqliteStore,
    projection: &Arc<Projection>,
) -> Result<PrimedConsumer<SqliteStore, SqliteSource>, messagekit::Error> {
    let topics = [OrderPlaced::TOPIC, PaymentReceived::TOPIC];
    let log = Arc::new(store.clone());
    let reader = OrderedReader::builder();
    let reader =
        topics.iter().fold(reader, |reader, topic| reader.source(log.clone(), *topic, Start::Earliest));
    let consumer = Consumer::builder("owed", store.clone())
        .from(store.topics(topics))
        // One event per transaction, so that the example can stop between two of five. Usually it is 200.
        .batch(BatchLimit::ONE)
        .on_with(projection.clone(), Projection::on_order)
        .on_with(projection.clone(), Projection::on_payment)
        .build()?;
    Ok(consumer.prime(reader))
}

async fn append(
    store: &SqliteStore,
    outbox: &Outbox<SqliteStore>,
    customer: &str,
    pence: i64,
) -> Result<(), messagekit::Error> {
    let mut tx = store.begin().await?;
    let customer = customer.to_owned();
    if pence > 0 {
        outbox.add(&mut tx, OrderPlaced { customer, pence }).await?;
    } else {
        outbox.add(&mut tx, PaymentReceived { customer, pence: -pence }).await?;
    }
    outbox.commit(tx).await
}

#[tokio::main]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("15-prime-then-live: {}", chain(&*error));
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Box<dyn Error>> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("shop.db")).await?;
    let mut tx = store.begin().await?;
    tx.call(|c| c.execute("CREATE TABLE owed (customer TEXT PRIMARY KEY, pence INTEGER NOT NULL)", ()))
        .await?;
    store.commit(tx).await?;
    let outbox = Outbox::new(store.clone(), "shop")?;
    for (customer, pence) in [("ada", 500), ("bob", 900), ("ada", -500), ("ada", 250), ("bob", -300)] {
        append(&store, &outbox, customer, pence).await?;
    }

    let first = Arc::new(Projection { seen: Mutex::default(), last: 2, stop: Shutdown::new() });
    owed(&store, &first)?.run(first.stop.clone()).await?;
    let seen = first.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
    println!("stopped in the middle of the past: {}", seen.len() < 5);

    append(&store, &outbox, "bob", -600).await?;
    let second = Arc::new(Projection { seen: Mutex::new(seen), last: 6, stop: Shutdown::new() });
    owed(&store, &second)?.run(second.stop.clone()).await?;
    println!("{}", second.seen.lock().unwrap_or_else(PoisonError::into_inner).join(", "));

    let mut tx = store.begin().await?;
    let owed: Vec<(String, i64)> = tx
        .call(|c| {
            let mut rows = c.prepare("SELECT customer, pence FROM owed ORDER BY customer")?;
            rows.query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
        })
        .await?;
    println!("owed: {owed:?}");
    Ok(())
}
