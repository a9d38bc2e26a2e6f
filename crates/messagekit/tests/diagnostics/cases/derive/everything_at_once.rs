use messagekit::Event;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Event)]
#[event(type = "OrderPlaced", key = "oder_id", topic = ".", version = "1", source = "Shop", retry = "3")]
#[serde(deny_unknown_fields)]
struct OrderPlaced<'a> {
    order_id: &'a str,
    metadata: u8,
}

fn main() {}
