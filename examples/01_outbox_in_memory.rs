//! cargo run -q -p messagekit-examples --bin 01-outbox-in-memory
//!
//! The whole idea without a database. An event exists if and only if its transaction committed. A consumer applies it
//! once, however often it is delivered. The in-memory adapters are for docs and tests; example 02 is the same on SQLite.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

/// Handles an order: its effects, the processed marker and any events it adds are one transaction.
async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    println!("billing {} for {} pence", order.data.order_id, order.data.pence);
    tx.add("billed", order.data.pence);
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = MemoryLog::new(2);
    let store = MemoryStore::with_log(&log);
    let outbox = Outbox::new(store.clone(), "order-service")?;

    // A business row and its event, committed together.
    let mut tx = store.begin().await?;
    tx.insert("order o-1", "one lamp");
    outbox.add(&mut tx, OrderPlaced { order_id: "o-1".into(), pence: 1_250 }).await?;
    outbox.commit(tx).await?;

    // The same, rolled back: neither exists.
    let mut tx = store.begin().await?;
    tx.insert("order o-2", "one chair");
    outbox.add(&mut tx, OrderPlaced { order_id: "o-2".into(), pence: 8_000 }).await?;
    store.rollback(tx).await?;
    println!("published: {}", log.len("orders.order"));

    let shutdown = Shutdown::new();
    let billing =
        Consumer::builder("billing", store.clone()).from(log.topics(["orders.order"])).on(bill).build()?;
    let stats = billing.stats();
    let running = tokio::spawn(billing.run(shutdown.clone()));
    until(|| stats.read().handled == 1).await;

    // Delivered again: a rebalance, a lost acknowledgement, a replay.
    log.redeliver("billing");
    until(|| stats.read().duplicates == 1).await;

    shutdown.request();
    running.await??;
    println!("duplicates suppressed: {}", stats.read().duplicates);
    println!("billed: {} pence", store.get("billed"));
    Ok(())
}

async fn until(happened: impl Fn() -> bool) {
    while !happened() {
        tokio::task::yield_now().await;
    }
}
