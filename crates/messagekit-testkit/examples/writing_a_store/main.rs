//! A consumer over a store of one's own: see `store.rs`.
//!
//! `cargo run --package messagekit-testkit --example writing_a_store`

#![expect(clippy::print_stdout, reason = "a program answers there")]

mod store;
#[cfg(test)]
mod suite;

use messagekit::adapter::Publisher;
use messagekit::{Consumer, Error, ErrorKind, HandlerError, Message};
use messagekit_memory::MemoryLog;

use store::{SmallStore, SmallTx, failed};

async fn bill(tx: &mut SmallTx, order: Message) -> Result<(), HandlerError> {
    let order = String::from_utf8_lossy(&order.payload).into_owned();
    tx.connection().execute("INSERT INTO bills VALUES (?1)", [order]).map_err(failed)?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let folder =
        tempfile::tempdir().map_err(|error| Error::new(ErrorKind::Other, "no folder").caused_by(error))?;
    let store = SmallStore::open(&folder.path().join("billing.db"))?;
    store.0.lock().await.connection.execute_batch("CREATE TABLE bills (order_id TEXT)").map_err(failed)?;
    let log = MemoryLog::new(1);
    let order = |id: &'static str| {
        Message::new("orders.order", id).with_header("id", id).with_header("eventType", "orders.order.placed")
    };
    log.publish(&[order("o-1"), order("o-2"), order("o-1")]).await;
    let billing = Consumer::builder("billing", store.clone()).from(log.topics(["orders.order"]));
    let done = billing.on_message("orders.order.placed", bill).build()?.run_until_idle().await?;
    println!("{} bills, {} duplicate", done.handled, done.duplicates);
    Ok(())
}
