use messagekit::{Consumer, Envelope, Event, HandlerError};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

fn main() {
    let (log, prefix) = (MemoryLog::new(1), String::from("bill"));
    let _ = Consumer::builder("billing", MemoryStore::new()).from(log.topics([OrderPlaced::TOPIC])).on(
        async move |tx: &mut MemoryTx, order: Envelope<OrderPlaced>| -> Result<(), HandlerError> {
            tx.add(&format!("{prefix}-{}", order.data.order_id), 1);
            Ok(())
        },
    );
}
