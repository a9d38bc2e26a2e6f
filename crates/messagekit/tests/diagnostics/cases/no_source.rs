use messagekit::{Consumer, Envelope, Event, HandlerError};
use messagekit_memory::{MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

async fn bill(_: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    Ok(())
}

fn main() {
    let _ = Consumer::builder("billing", MemoryStore::new()).on(bill).build();
}
