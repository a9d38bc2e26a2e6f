use messagekit::Event;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Event)]
#[event(type = "a.b", key = "ids")]
struct Plain {
    total: u64,
    ids: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct OrderId(u64);

#[derive(Serialize, Deserialize, Event)]
#[event(type = "a.b", key = "id")]
struct Optional {
    id: Option<OrderId>,
}

fn main() {}
