//! A catalog of events whose schemas come from their structs, as services have them.

use std::collections::BTreeMap;
use std::fs;

use messagekit::{Event, EventRegistry};
use messagekit_schema::{Contracts, EventContracts, Service};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::asyncapi_schema::assert_valid;
use crate::command::messagekit;

/// A customer has placed an order.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(type = "orders.order.placed", key = "order_id", version = "1.3")]
struct OrderPlacedV1 {
    order_id: String,
}

/// A customer has placed an order, of several lines.
#[derive(Event, Serialize, Deserialize, JsonSchema)]
#[event(type = "orders.order.placed", key = "order_id", version = "2.0", upcast_from = OrderPlacedV1)]
struct OrderPlaced {
    order_id: String,
    lines: Vec<Line>,
    payment: Payment,
    status: Status,
    /// By the name of the tax.
    taxes: BTreeMap<String, f64>,
    by_floor: BTreeMap<u32, i64>,
    corner: (i32, String),
    #[serde(default)]
    gift: bool,
    replaces: Option<Box<Line>>,
    #[serde(flatten)]
    address: Address,
}

impl From<OrderPlacedV1> for OrderPlaced {
    fn from(old: OrderPlacedV1) -> Self {
        Self {
            order_id: old.order_id,
            lines: Vec::new(),
            payment: Payment::Cash,
            status: Status::Open,
            taxes: BTreeMap::new(),
            by_floor: BTreeMap::new(),
            corner: (0, String::new()),
            gift: false,
            replaces: None,
            address: Address { city: String::new() },
        }
    }
}

/// What was ordered.
#[derive(Serialize, Deserialize, JsonSchema)]
struct Line {
    pence: u64,
    /// What belongs to it.
    parts: Vec<Line>,
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Payment {
    Cash,
    Card { number: String },
}

#[derive(Serialize, Deserialize, JsonSchema)]
enum Status {
    Open,
    Closed,
}

#[derive(Serialize, Deserialize, JsonSchema)]
struct Address {
    city: String,
}

fn registry() -> EventRegistry {
    let registry = EventRegistry::new().with_schema::<OrderPlacedV1>().unwrap();
    registry.with_schema::<OrderPlaced>().unwrap()
}

/// Runs the command on the documents of a service that writes the event and of one that reads it.
fn catalog(folder: &TempDir, arguments: &[&str]) -> String {
    let orders = Service::new("orders").owner("team-shop").writes::<OrderPlacedV1>().writes::<OrderPlaced>();
    let billing = Service::new("billing").reads::<OrderPlaced>();
    let mut files = Vec::new();
    for service in [orders, billing] {
        let path = folder.path().join(format!("{}.json", service.name()));
        let contracts: Contracts = registry().contracts().unwrap().of_service(service).unwrap();
        fs::write(&path, contracts.to_text()).unwrap();
        files.push(path.to_str().unwrap().to_owned());
    }
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    messagekit(&[&["catalog"], &arguments[..1], &files, &arguments[1..]].concat()).text()
}

#[test]
fn events_of_structs_are_checked_and_described() {
    let folder = TempDir::new().unwrap();
    assert_eq!(catalog(&folder, &["check"]), "no problems, 0 warnings, 2 services, 1 events\n");
    let out = folder.path().join("out");
    catalog(&folder, &["render", "--to", out.to_str().unwrap()]);
    let page = fs::read_to_string(out.join("events/orders.order.placed.md")).unwrap();
    for text in [
        "A customer has placed an order, of several lines.",
        "| producers | `orders` (1.3, 2.0) |",
        "| consumers | `billing` (2.0 upcast from 1.3) |",
        "| `lines[].parts` | list of the same as lines\\[\\] | yes | What belongs to it. |",
        "| `by_floor` | map of integer (int64) | yes |",
        "| `taxes` | map of number (double) | yes | By the name of the tax. |",
        "| `gift` | boolean | no |",
        "| `city` | string | yes |",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let document: Value =
        serde_json::from_str(&fs::read_to_string(out.join("asyncapi.json")).unwrap()).unwrap();
    assert_valid(&document);
    // The sample of the page is data that the struct itself reads.
    let message = &document["components"]["messages"]["orders.order.placed_v2.0"];
    let payload = &message["examples"][0]["payload"];
    let read: OrderPlaced = serde_json::from_value(payload.clone()).unwrap();
    assert_eq!((read.lines.len(), payload["source"].clone()), (1, json!("orders")), "{payload}");
}
