//! Fields may have names like the envelope's if their names on the wire differ.
#![allow(dead_code)]

use std::collections::BTreeMap;

use messagekit::Event;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed")]
struct Renamed {
    #[serde(rename = "orderSource")]
    source: String,
    #[serde(skip)]
    metadata: u8,
    #[serde(flatten)]
    rest: BTreeMap<String, String>,
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed")]
#[serde(rename_all = "kebab-case")]
struct Hyphens {
    event_id: String,
}

#[derive(Serialize, Deserialize, Event)]
#[event(type = "orders.order.placed", key = "id")]
#[serde(crate = "serde")]
struct Elsewhere<T> {
    id: T,
}
