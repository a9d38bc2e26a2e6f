use messagekit::{Consumer, Envelope, Event, HandlerError};
use messagekit_memory::{MemoryLog, MemoryStore};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

struct PgTx;

async fn bill(_: &mut PgTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    Ok(())
}

fn main() {
    let log = MemoryLog::new(1);
    let _ = Consumer::builder("billing", MemoryStore::new()).from(log.topics([OrderPlaced::TOPIC])).on(bill);
}
