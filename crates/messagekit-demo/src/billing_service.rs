//! The billing service: a separate process that is killed again and again.

use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use clap::Args;
use messagekit::adapter::{BatchLimit, BoxFuture};
use messagekit::gate::{BatchView, Gate, Outcome, Permit};
use messagekit::{Backoff, Consumer, Envelope, Error, HandlerError, OnFailure, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use crate::events::{InvoiceAdjusted, InvoiceCancelled, InvoicePlaced, TOPIC};

/// The consumer's name.
pub(crate) const CONSUMER: &str = "billing";

const ATTEMPTS: NonZeroU32 = NonZeroU32::new(3).expect("3 > 0");
/// Short, because a failed message of a crashed process waits for the end of a lease that grows with this.
const DEADLINE: Duration = Duration::from_secs(2);

/// The settings of the billing service.
#[derive(Args, Clone, Debug)]
pub(crate) struct BillingOptions {
    /// The file that it shares with the order service
    #[arg(long)]
    pub(crate) database: PathBuf,
    /// The most messages in a transaction; without it, what the engine prefers
    #[arg(long)]
    pub(crate) batch: Option<NonZeroU32>,
    /// Take a batch only for each byte of standard input, so that a small run still has something to interrupt
    #[arg(long)]
    pub(crate) paced: bool,
}

/// Creates the service's own tables. They have no constraint against a second bill: the consumer must prevent it.
pub(crate) async fn create_tables(store: &SqliteStore) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    tx.call(|c| {
        c.execute_batch(
            "CREATE TABLE bills (
               seq      INTEGER PRIMARY KEY AUTOINCREMENT,
               event_id TEXT NOT NULL,
               invoice  TEXT NOT NULL,
               customer TEXT,
               pence    INTEGER NOT NULL
             ) STRICT;
             CREATE TABLE balances (customer TEXT PRIMARY KEY, pence INTEGER NOT NULL) STRICT, WITHOUT ROWID;
             CREATE TABLE billing_runs (
               run     INTEGER PRIMARY KEY AUTOINCREMENT,
               pid     INTEGER NOT NULL,
               stopped INTEGER NOT NULL DEFAULT 0
             ) STRICT",
        )
    })
    .await?;
    store.commit(tx).await
}

/// Consumes until standard input ends: the parent closes it to stop the service, and the system does if the parent
/// dies.
pub(crate) async fn run(options: BillingOptions) -> Result<(), Error> {
    let shutdown = Shutdown::new();
    let beats = Arc::new(Semaphore::new(0));
    follow_input(shutdown.clone(), Arc::clone(&beats));
    let store = SqliteStore::options().transaction_timeout(DEADLINE).open(&options.database).await?;
    let run = note_start(&store).await?;

    let mut consumer = Consumer::builder(CONSUMER, store.clone())
        .from(store.topics([TOPIC]))
        .on(bill)
        .on(credit)
        .on(refuse_adjustment)
        // A failed adjustment does not block the invoices of its customer.
        .on_failure(OnFailure::DeadLetter)
        .attempts(ATTEMPTS)
        .backoff(Backoff::new(Duration::from_millis(100), 2.0, Duration::from_millis(400)))
        .deadline(DEADLINE);
    if let Some(messages) = options.batch {
        consumer = consumer.batch(BatchLimit { messages, ..BatchLimit::DEFAULT });
    }
    if options.paced {
        consumer = consumer.gate(Pace { beats, waiting: None });
    }
    consumer.build()?.run(shutdown).await?;

    note_stop(&store, run).await?;
    Ok(store.close().await?)
}

/// Books an order. The bill, the balance and the processed marker are one transaction.
async fn bill(tx: &mut SqliteTx, event: Envelope<InvoicePlaced>) -> Result<(), HandlerError> {
    let id = event.event_id.to_string();
    let InvoicePlaced { invoice, customer, total_pence, .. } = event.data;
    book(tx, id, invoice, customer, total_pence).await
}

/// Books a cancellation: a bill with a negative total.
async fn credit(tx: &mut SqliteTx, event: Envelope<InvoiceCancelled>) -> Result<(), HandlerError> {
    let id = event.event_id.to_string();
    let InvoiceCancelled { invoice, customer, total_pence } = event.data;
    book(tx, id, invoice, customer, total_pence).await
}

/// Always fails after its writes: they must be rolled back.
async fn refuse_adjustment(tx: &mut SqliteTx, event: Envelope<InvoiceAdjusted>) -> Result<(), HandlerError> {
    let id = event.event_id.to_string();
    let InvoiceAdjusted { invoice, customer, total_pence } = event.data;
    book(tx, id, invoice, customer, total_pence).await?;
    Err(HandlerError::retryable("billing has no account for adjustments"))
}

async fn book(
    tx: &mut SqliteTx,
    id: String,
    invoice: String,
    customer: Option<String>,
    pence: i64,
) -> Result<(), HandlerError> {
    tx.call(move |c| {
        c.prepare_cached("INSERT INTO bills (event_id, invoice, customer, pence) VALUES (?1, ?2, ?3, ?4)")?
            .execute((id, invoice, &customer, pence))?;
        if let Some(customer) = customer {
            c.prepare_cached(
                "INSERT INTO balances (customer, pence) VALUES (?1, ?2)
                 ON CONFLICT (customer) DO UPDATE SET pence = pence + excluded.pence",
            )?
            .execute((customer, pence))?;
        }
        Ok(())
    })
    .await?;
    Ok(())
}

/// Reads one beat per byte, keeps at most one pending, and stops at the end.
fn follow_input(shutdown: Shutdown, beats: Arc<Semaphore>) {
    thread::spawn(move || {
        for byte in std::io::stdin().lock().bytes() {
            if byte.is_err() {
                break;
            }
            if beats.available_permits() == 0 {
                beats.add_permits(1);
            }
        }
        shutdown.request();
    });
}

async fn note_start(store: &SqliteStore) -> Result<i64, Error> {
    let mut tx = store.begin().await?;
    let run = tx
        .call(|c| {
            let insert = "INSERT INTO billing_runs (pid) VALUES (?1) RETURNING run";
            c.query_row(insert, [std::process::id()], |row| row.get(0))
        })
        .await?;
    store.commit(tx).await?;
    Ok(run)
}

async fn note_stop(store: &SqliteStore, run: i64) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    tx.call(move |c| c.execute("UPDATE billing_runs SET stopped = 1 WHERE run = ?1", [run])).await?;
    store.commit(tx).await
}

/// Admits one batch per beat.
struct Pace {
    beats: Arc<Semaphore>,
    waiting: Option<BoxFuture<'static, Result<OwnedSemaphorePermit, AcquireError>>>,
}

impl Gate for Pace {
    fn name(&self) -> &'static str {
        "pace"
    }

    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit> {
        let beats = &self.beats;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(Arc::clone(beats).acquire_owned()));
        let beat = std::task::ready!(waiting.as_mut().poll(cx));
        self.waiting = None;
        // The semaphore is never closed, and a beat is used only once.
        beat.into_iter().for_each(OwnedSemaphorePermit::forget);
        Poll::Ready(Permit::new(0, batch.messages, None))
    }

    fn settle(&mut self, permit: Permit, _: &Outcome) {
        permit.redeem();
    }
}
