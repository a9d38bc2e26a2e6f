//! Two orders in memory, whose first transaction is rolled back for a cause.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messagekit::adapter::BatchLimit;
use messagekit::{Backoff, Consumer, Envelope, Error, ErrorKind, Event, HandlerError, Outbox, Shutdown};
use messagekit_memory::{Failpoint, MemoryLog, MemorySource, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;
use tracing::Instrument;

use crate::{OrderPlaced, UNTIL_KILLED, header, order};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "order_id")]
struct BillIssued {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "audit.run.begun", key = "order_id")]
struct RunBegun {
    order_id: String,
}

/// Both orders in one transaction, however long a busy machine takes for the first.
const BOTH: BatchLimit = BatchLimit { time: UNTIL_KILLED, ..BatchLimit::DEFAULT };

struct Billing {
    bills: Outbox<MemoryStore>,
    /// Another database: its transactions have outcomes of their own.
    audit: Outbox<MemoryStore>,
    fails: AtomicBool,
    hangs: AtomicBool,
}

impl Billing {
    async fn placed(&self, tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        let order_id = order.data.order_id;
        let begun = RunBegun { order_id: order_id.clone() };
        self.audit.transaction(async |tx| Ok(self.audit.add(tx, begun).await?)).await?;
        self.bills.add(tx, BillIssued { order_id: order_id.clone() }).await?;
        if order_id != "o-2" {
            return Ok(());
        }
        if self.hangs.swap(false, Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        if self.fails.swap(false, Ordering::Relaxed) {
            return Err(HandlerError::retryable("it is refused once"));
        }
        Ok(())
    }
}

/// Places two orders in one request and consumes them, with a first transaction that is rolled back.
pub(crate) async fn rolled_back(cause: &str) -> Result<(), Error> {
    let log = MemoryLog::new(1);
    let store = MemoryStore::with_log(&log);
    let orders = Outbox::new(store.clone(), "shop")?;
    let placed = orders.transaction(async |tx| Ok(orders.add_all(tx, ["o-1", "o-2"].map(order)).await?));
    placed.instrument(messagekit_telemetry::request_span("POST", "/orders", header)).await?;

    let billing = Arc::new(Billing {
        bills: Outbox::new(store.clone(), "billing")?,
        audit: Outbox::new(MemoryStore::new(), "audit")?,
        fails: AtomicBool::new(cause == "failed"),
        hangs: AtomicBool::new(cause == "cut_off"),
    });
    match cause {
        "failed" | "cut_off" => {}
        "conflict" => store.fail_next(Failpoint::Advance, ErrorKind::Conflict),
        "outage" => store.fail_next(Failpoint::Commit, ErrorKind::Unavailable),
        "transaction" => store.fail_next(Failpoint::Commit, ErrorKind::Aborted),
        "unknown" => store.fail_next(Failpoint::CommitUnknownLost, ErrorKind::OutcomeUnknown),
        "unknown-kept" => store.fail_next(Failpoint::CommitUnknownKept, ErrorKind::OutcomeUnknown),
        _ => panic!("no such cause: {cause}"),
    }
    let consumer = || {
        let consumer = Consumer::builder("billing", store.clone()).from(log.topics([OrderPlaced::TOPIC]));
        let consumer = consumer.on_with(Arc::clone(&billing), Billing::placed).batch(BOTH);
        consumer.backoff(Backoff::fixed(Duration::from_millis(20))).build()
    };
    if cause == "cut_off" {
        cut_off(consumer()?, &billing.hangs).await;
    }
    let consumer = consumer()?;
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = tokio::spawn(consumer.run(shutdown.clone()));
    stats.wait_until(|stats| stats.handled + stats.duplicates >= 2).await?;
    shutdown.request();
    running.await.expect("no panic")
}

/// Runs a consumer until its handler hangs, and drops it.
async fn cut_off(consumer: Consumer<MemoryStore, MemorySource>, hangs: &AtomicBool) {
    let runtime = Runtime::new().expect("a runtime");
    runtime.spawn(consumer.run(Shutdown::new()));
    while hangs.load(Ordering::Relaxed) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // An aborted task would be dropped at any later time, perhaps after the program's last export. A runtime ends when its tasks
    // are dropped.
    tokio::task::spawn_blocking(|| drop(runtime)).await.expect("no panic");
}
