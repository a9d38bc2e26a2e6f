use messagekit::{Consumer, Envelope, Event, HandlerError};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

async fn bill(_: &mut MemoryTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let Some(number) = order.data.order_id.strip_prefix("o-") else {
        return Err("no order id".into());
    };
    if number == "0" { Err(format!("order {number}"))? }
    Ok(())
}

fn main() {
    let log = MemoryLog::new(1);
    let _ = Consumer::builder("billing", MemoryStore::new()).from(log.topics([OrderPlaced::TOPIC])).on(bill);
}
