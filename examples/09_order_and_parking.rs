//! cargo run -q -p messagekit-examples --bin 09-order-and-parking
//!
//! The steps of one order are applied in order, or not at all. When its first step cannot be applied, the later ones wait
//! behind it, while other orders proceed. After the repair every step runs in the order in which it was written.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use messagekit::operations::{Action, FailedMessageFilter, FailedMessageState, FailedMessages, Operator};
use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use serde::{Deserialize, Serialize};
use tokio::time::{Duration, sleep};

/// A step in the life of an order; the steps of one order share its key.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.moved", key = "order_id")]
struct OrderMoved {
    order_id: String,
    step: String,
}

async fn note(tx: &mut SqliteTx, order: Envelope<OrderMoved>) -> Result<(), HandlerError> {
    let OrderMoved { order_id, step } = order.data;
    let noted = tx
        .call(move |c| {
            let note = "INSERT INTO steps (order_id, step) SELECT id, ?2 FROM orders WHERE id = ?1";
            c.execute(note, [order_id, step])
        })
        .await?;
    if noted == 1 { Ok(()) } else { Err(HandlerError::permanent("no such order")) }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("shop.db")).await?;
    change(&store, "CREATE TABLE orders (id TEXT PRIMARY KEY) STRICT; INSERT INTO orders VALUES ('b')")
        .await?;
    change(&store, "CREATE TABLE steps (n INTEGER PRIMARY KEY, order_id TEXT, step TEXT) STRICT").await?;

    let outbox = Outbox::new(store.clone(), "order-service")?;
    let mut tx = store.begin().await?;
    for step in ["placed", "changed", "cancelled"] {
        for order_id in ["a", "b"] {
            outbox.add(&mut tx, OrderMoved { order_id: order_id.into(), step: step.into() }).await?;
        }
    }
    outbox.commit(tx).await?;

    // Between a log and a database this is the default: .on_failure(OnFailure::ParkKey).
    let shutdown = Shutdown::new();
    let noting =
        Consumer::builder("noting", store.clone()).from(store.topics(["orders.order"])).on(note).build()?;
    let running = tokio::spawn(noting.run(shutdown.clone()));

    let waiting =
        FailedMessageFilter { state: Some(FailedMessageState::Blocked), ..FailedMessageFilter::default() };
    while steps(&store, "b").await?.len() < 3 || store.list(&waiting, 10).await?.len() < 2 {
        sleep(Duration::from_millis(5)).await;
    }
    println!("b: {}", steps(&store, "b").await?.join(", "));
    let dead =
        FailedMessageFilter { state: Some(FailedMessageState::Dead), ..FailedMessageFilter::default() };
    let head = store.list(&dead, 1).await?.remove(0);
    let holds_back = store.show(head.id).await?.holds_back;
    println!("a: {}, and holds back {holds_back}: {}", head.state, head.error);

    // The first step runs again, and then the ones that waited.
    change(&store, "INSERT INTO orders VALUES ('a')").await?;
    for acted in store.act(Action::Retry, &[head.id], &Operator::new("operator", "example")).await? {
        acted.done(Action::Retry, head.id)?;
    }
    while steps(&store, "a").await?.len() < 3 {
        sleep(Duration::from_millis(5)).await;
    }
    println!("a: {}", steps(&store, "a").await?.join(", "));

    shutdown.request();
    running.await??;
    store.close().await?;
    Ok(())
}

async fn change(store: &SqliteStore, sql: &'static str) -> Result<(), messagekit::Error> {
    let mut tx = store.begin().await?;
    tx.call(move |c| c.execute_batch(sql)).await?;
    store.commit(tx).await
}

/// Returns the recorded steps of an order, in their order.
async fn steps(store: &SqliteStore, order: &'static str) -> Result<Vec<String>, messagekit::Error> {
    let read = store.read(move |c| {
        let mut steps = c.prepare("SELECT step FROM steps WHERE order_id = ?1 ORDER BY n")?;
        steps.query_map([order], |row| row.get(0))?.collect()
    });
    Ok(read.await?)
}
