use messagekit::Event;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Event)]
#[event(type = "a.b")]
struct OrderPlaced {
    id: u8,
    source: String,
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "a.b")]
#[serde(rename_all = "camelCase")]
struct OrderPaid {
    occurred_at: String,
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "a.b")]
struct OrderPacked {
    #[serde(rename = "eventId")]
    id: u8,
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "a.b")]
struct OrderSent {
    #[serde(alias = "correlation_id")]
    request: u8,
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "a.b")]
#[serde(tag = "eventType")]
struct OrderLost {
    id: u8,
}

fn main() {}
