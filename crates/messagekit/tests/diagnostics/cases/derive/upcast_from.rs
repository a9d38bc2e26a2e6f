use messagekit::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed")]
struct V1 {}

#[derive(Event)]
#[event(type = "orders.order.placed", version = "2.0", upcast_from = "V1")]
struct Quoted {}

#[derive(Event)]
#[event(type = "orders.order.placed", version = "2.0", upcast_from)]
struct NoValue {}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", version = "2.0", upcast_from = V1)]
struct NoConversion {}

fn main() {}
