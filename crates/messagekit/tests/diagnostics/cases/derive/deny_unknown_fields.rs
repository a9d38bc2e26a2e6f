use messagekit::Event;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Event)]
#[event(type = "a.b")]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OrderPlaced {
    order_id: u8,
}

fn main() {}
