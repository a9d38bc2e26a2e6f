//! cargo run -q -p messagekit-examples --bin 02-consumer-on-sqlite
//!
//! Two services in one SQLite file, each with its own tables. The consumer's rows, its processed marker and the event it
//! adds share one transaction. A second consumer reads the events of the first one.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::sync::Arc;

use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

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
    bill: i64,
}

struct Billing {
    outbox: Outbox<SqliteStore>,
}

impl Billing {
    async fn on_placed(&self, tx: &mut SqliteTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
        let (order_id, pence) = (order.data.order_id.clone(), order.data.pence);
        let bill = tx
            .call(move |c| {
                c.execute("INSERT INTO bills (order_id, pence) VALUES (?1, ?2)", (order_id, pence))?;
                Ok::<_, messagekit_sqlite::rusqlite::Error>(c.last_insert_rowid())
            })
            .await?;
        let issued = BillIssued { order_id: order.data.order_id.clone(), bill };
        self.outbox.add(tx, issued.follow(&order)).await?;
        Ok(())
    }
}

async fn print_bill(done: &Notify, _: &mut SqliteTx, bill: Envelope<BillIssued>) -> Result<(), HandlerError> {
    println!(
        "bill {} for {}, caused by an event: {}",
        bill.data.bill,
        bill.data.order_id,
        bill.causation_id.is_some()
    );
    done.notify_one();
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = SqliteStore::open(folder.path().join("shop.db")).await?;
    let mut tx = store.begin().await?;
    tx.call(|c| {
        c.execute_batch(
            "CREATE TABLE orders (id TEXT PRIMARY KEY, pence INTEGER NOT NULL) STRICT;
             CREATE TABLE bills (id INTEGER PRIMARY KEY, order_id TEXT NOT NULL, pence INTEGER NOT NULL) STRICT;",
        )
    })
    .await?;
    store.commit(tx).await?;

    // The order service writes row and event, or neither.
    let outbox = Outbox::new(store.clone(), "order-service")?;
    let mut tx = store.begin().await?;
    tx.call(|c| c.execute("INSERT INTO orders VALUES ('o-1', 1250)", ())).await?;
    outbox.add(&mut tx, OrderPlaced { order_id: "o-1".into(), pence: 1_250 }).await?;
    outbox.commit(tx).await?;

    // The billing service and a printer, each with its own cursor.
    let shutdown = Shutdown::new();
    let billing = Arc::new(Billing { outbox: Outbox::new(store.clone(), "billing-service")? });
    let bills = Consumer::builder("billing", store.clone())
        .from(store.topics(["orders.order"]))
        .on_with(billing, Billing::on_placed)
        .build()?;
    let printed = Arc::new(Notify::new());
    let printer = Consumer::builder("printer", store.clone())
        .from(store.topics(["billing.bill"]))
        .on_with(Arc::clone(&printed), print_bill)
        .build()?;
    let running = [tokio::spawn(bills.run(shutdown.clone())), tokio::spawn(printer.run(shutdown.clone()))];
    printed.notified().await;
    shutdown.request();
    for consumer in running {
        consumer.await??;
    }

    let (orders, bills) = store
        .read(|c| {
            c.query_row("SELECT (SELECT sum(pence) FROM orders), (SELECT sum(pence) FROM bills)", (), |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))
            })
        })
        .await?;
    println!("ordered {orders} pence, billed {bills} pence");
    store.close().await?;
    Ok(())
}
