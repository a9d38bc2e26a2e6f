use std::sync::Arc;

use messagekit::{Envelope, Event, HandlerError, Router};
use messagekit_memory::{MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

struct Prices;

async fn stateless(_: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    Ok(())
}

async fn no_envelope(_: &Prices, _: &mut MemoryTx, _: OrderPlaced) -> Result<(), HandlerError> {
    Ok(())
}

async fn other_state(_: &String, _: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    Ok(())
}

async fn state_last(_: &mut MemoryTx, _: Envelope<OrderPlaced>, _: &Prices) -> Result<(), HandlerError> {
    Ok(())
}

fn main() {
    let router = Router::<MemoryStore>::new;
    let _ = router().on_with(Arc::new(Prices), stateless);
    let _ = router().on_with(Arc::new(Prices), no_envelope);
    let _ = router().on_with(Arc::new(Prices), other_state);
    let _ = router().on_with(Arc::new(Prices), state_last);
    let _ = router().on_with(Prices, other_state);
}
