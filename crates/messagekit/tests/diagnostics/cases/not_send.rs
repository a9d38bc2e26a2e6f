use std::rc::Rc;

use messagekit::{Consumer, Envelope, Event, HandlerError};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

async fn bill(tx: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let order_id = Rc::new(order.data.order_id);
    tokio::task::yield_now().await;
    tx.add(order_id.as_str(), 1);
    Ok(())
}

fn main() {
    let log = MemoryLog::new(1);
    let _ = Consumer::builder("billing", MemoryStore::new()).from(log.topics([OrderPlaced::TOPIC])).on(bill);
}
