use messagekit::Event;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", version = "2.0")]
struct V2 {}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", version = "2.1", upcast_from = V2)]
struct SameMajor {}

impl From<V2> for SameMajor {
    fn from(_: V2) -> Self {
        Self {}
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.paid", version = "3.0", upcast_from = V2)]
struct OtherType {}

impl From<V2> for OtherType {
    fn from(_: V2) -> Self {
        Self {}
    }
}

fn main() {}
