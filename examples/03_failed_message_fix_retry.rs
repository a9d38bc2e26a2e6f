//! cargo run -q -p messagekit-examples --bin 03-failed-message-fix-retry
//!
//! A message that cannot be applied is stored in full, with its error. After the cause is repaired, a retry runs the same
//! handler again, in the process that consumes, and the effect happens once.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::num::NonZeroU32;
use std::time::Duration;

use messagekit::operations::{Action, FailedMessageFilter, FailedMessageState, FailedMessages, Operator};
use messagekit::{Backoff, Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    product: String,
    pence: i64,
}

async fn bill(tx: &mut SqliteTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let OrderPlaced { order_id, product, pence } = order.data;
    let name = product.clone();
    let known = tx
        .call(move |c| {
            c.query_row("SELECT count(*) FROM products WHERE name = ?1", [name], |row| row.get::<_, i64>(0))
        })
        .await?;
    if known == 0 {
        return Err(HandlerError::retryable(format!("product {product:?} is not in the catalogue")));
    }
    tx.call(move |c| c.execute("INSERT INTO bills VALUES (?1, ?2)", (order_id, pence))).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("shop.db")).await?;
    change(&store, "CREATE TABLE products (name TEXT PRIMARY KEY) STRICT").await?;
    change(&store, "CREATE TABLE bills (order_id TEXT NOT NULL, pence INTEGER NOT NULL) STRICT").await?;

    let outbox = Outbox::new(store.clone(), "order-service")?;
    let mut tx = store.begin().await?;
    outbox.add(&mut tx, OrderPlaced { order_id: "o-1".into(), product: "lamp".into(), pence: 1_250 }).await?;
    outbox.commit(tx).await?;

    let shutdown = Shutdown::new();
    let billing = Consumer::builder("billing", store.clone())
        .from(store.topics(["orders.order"]))
        .on(bill)
        .attempts(NonZeroU32::new(3).expect("3 > 0"))
        .backoff(Backoff::fixed(Duration::from_millis(20)))
        .build()?;
    let running = tokio::spawn(billing.run(shutdown.clone()));

    // Three runs fail, and the failed message is dead. Find it, ...
    let failed_message = in_state(&store, FailedMessageState::Dead).await?;
    println!("dead after {} runs: {}", failed_message.attempts, failed_message.error);

    // ... repair the cause, and retry it.
    change(&store, "INSERT INTO products VALUES ('lamp')").await?;
    let operator = Operator::new("operator", "example");
    for acted in store.act(Action::Retry, &[failed_message.id], &operator).await? {
        acted.done(Action::Retry, failed_message.id)?;
    }
    let failed_message = in_state(&store, FailedMessageState::Resolved).await?;
    println!("failed message is {}", failed_message.state);
    let again = store.act(Action::Retry, &[failed_message.id], &operator).await?[0];
    println!(
        "a second retry says: {}",
        again.done(Action::Retry, failed_message.id).expect_err("it was resolved")
    );

    shutdown.request();
    running.await??;
    let billed = store.read(|c| {
        c.query_row("SELECT count(*), sum(pence) FROM bills", (), |row| {
            Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
        })
    });
    let (bills, pence) = billed.await?;
    println!("{bills} bill of {pence} pence");
    store.close().await?;
    Ok(())
}

async fn change(store: &SqliteStore, sql: &'static str) -> Result<(), messagekit::Error> {
    let mut tx = store.begin().await?;
    tx.call(move |c| c.execute(sql, ())).await?;
    store.commit(tx).await
}

/// Waits until the only failed message is in a state. It polls, as an operator would.
async fn in_state(
    store: &SqliteStore,
    state: FailedMessageState,
) -> Result<messagekit::operations::FailedMessageHead, messagekit::Error> {
    let filter = FailedMessageFilter { state: Some(state), ..FailedMessageFilter::default() };
    loop {
        if let Some(failed_message) = store.list(&filter, 1).await?.pop() {
            return Ok(failed_message);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
