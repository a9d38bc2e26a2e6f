//! cargo run -q -p messagekit-examples --bin 11-testing
//!
//! What the tests of a service do: a scenario on a temporary file, a flow until nothing is left to do, and a search for the crash that
//! doubles an effect. In a project these are `#[tokio::test]`s; `docs/testing.md` explains each.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::Arc;

use messagekit::adapter::FailureKind;
use messagekit::{Consumer, Delivered, Envelope, Error, Event, HandlerError, Outbox, Router, Store};
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_sqlite::{SqliteSource, SqliteStore, SqliteTx};
use messagekit_testkit::service::{Scenario, effectively_once, emitted, message};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "order_id")]
struct BillIssued {
    order_id: String,
    pence: i64,
}

async fn bill(
    outbox: &Outbox<SqliteStore>,
    tx: &mut SqliteTx,
    order: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    let pence = order.data.pence;
    if pence < 0 {
        return Err(HandlerError::permanent("less than nothing"));
    }
    let (row, issued) = (order.data.order_id.clone(), order.data.order_id.clone());
    tx.call(move |c| c.execute("INSERT INTO bills VALUES (?1, ?2)", (row, pence))).await?;
    outbox.add(tx, BillIssued { order_id: issued, pence }.follow(&order)).await?;
    Ok(())
}

fn billing(store: &SqliteStore) -> Result<Consumer<SqliteStore, SqliteSource>, Error> {
    let outbox = Arc::new(Outbox::new(store.clone(), "billing")?);
    Consumer::builder("billing", store.clone()).from(store.clone()).on_with(outbox, bill).build()
}

/// Writes in a transaction of its own, which a crash of the process does not undo.
async fn careless(
    store: &MemoryStore,
    _: &mut MemoryTx,
    order: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    let mut own = store.begin().await?;
    own.add("billed", order.data.pence);
    store.commit(own).await?;
    Ok(())
}

fn order(order_id: &str, pence: i64) -> OrderPlaced {
    OrderPlaced { order_id: order_id.to_owned(), pence }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let store = SqliteStore::temporary().await?;
    let mut tx = store.begin().await?;
    tx.call(|c| c.execute_batch("CREATE TABLE bills (id TEXT PRIMARY KEY, pence INTEGER) STRICT")).await?;
    store.commit(tx).await?;

    let consumer = billing(&store)?;
    let issued = Scenario::of(&consumer)
        .given([order("o-1", 995)])
        .when(order("o-2", 5))
        .then_emitted([BillIssued { order_id: "o-2".to_owned(), pence: 5 }])
        .await;
    println!("emitted {} for {}", issued[0].event_type, issued[0].data.order_id);
    let refused = Scenario::of(&consumer).when(order("o-3", -1)).then_fails(FailureKind::Permanent).await;
    println!("refused: {}", refused.error);
    let mut scenario = Scenario::of(&consumer);
    let first = scenario.deliver(order("o-4", 20)).await?;
    println!("delivered twice: {first:?}, {:?}", scenario.redeliver().await?);
    assert_eq!(first, Delivered::Handled);

    let outbox = Outbox::new(store.clone(), "shop")?;
    outbox.transaction(async |tx| Ok(outbox.add_all(tx, [order("o-5", 1), order("o-6", 2)]).await?)).await?;
    let done = billing(&store)?.run_until_idle().await?;
    println!(
        "the flow handled {}, and {} bills are issued",
        done.handled,
        emitted::<BillIssued>(&store).await?.len()
    );

    let events = [message(order("o-1", 995)), message(order("o-2", 5))];
    let found = effectively_once(|store| Router::new().on_with(Arc::new(store), careless), &events).await;
    let counterexample = found.expect_err("the handler writes outside of its transaction");
    println!("{}\n{}", counterexample.steps().join("\n"), counterexample.differences().join("\n"));
    Ok(())
}
