//! The commands of the page on catalogs, unchanged and in their order.

use std::fs;

use serde_json::{Value, json};

use crate::page::Page;
use crate::services::object;

/// Each command of the page, and what it must print.
const COMMANDS: [(&str, &str); 4] = [
    (
        "messagekit catalog check contracts/orders.json contracts/billing.json",
        "no problems, 0 warnings, 2 services, 2 events",
    ),
    (
        "messagekit catalog check contracts/*.json --external payments.payment.refunded --json",
        r#"{"problems":[],"warnings":[]}"#,
    ),
    ("messagekit catalog render contracts/*.json --to catalog", "4 files, 4 written, 0 removed"),
    (
        "messagekit catalog check contracts/*.json --external payments.payment.refunded --folder catalog",
        "no problems",
    ),
];

/// What the program of the page prints, or that of the service which it talks to.
fn document(name: &str, writes: &str, reads: &[&str]) -> String {
    let text = || json!({"type": "string"});
    let order = || ("order_id!", text());
    let event = |event_type: &str| {
        let fields = match event_type {
            "orders.order.placed" => vec![order(), ("pence!", json!({"type": "integer", "format": "int64"}))],
            _ => vec![order()],
        };
        let topic = event_type.rsplit_once('.').unwrap().0;
        json!({"eventType": event_type, "topic": topic, "version": "1.0", "schema": object(&fields)})
    };
    let named = |event_type: &&str| json!({"eventType": event_type, "version": "1.0"});
    let events: Vec<Value> = [writes].iter().chain(reads).map(|event_type| event(event_type)).collect();
    let reads: Vec<Value> = reads.iter().map(named).collect();
    let service = json!({"name": name, "owner": "team-shop", "writes": [named(&writes)], "reads": reads});
    json!({"format": 1, "service": service, "events": events}).to_string()
}

#[test]
fn commands_of_the_page_on_catalogs_do_what_it_says() {
    let page = Page::open("catalog.md");
    fs::create_dir(page.path("contracts")).unwrap();
    let (placed, taken, refunded) =
        ("orders.order.placed", "payments.payment.taken", "payments.payment.refunded");
    fs::write(page.path("contracts/orders.json"), document("orders", placed, &[taken])).unwrap();
    fs::write(page.path("contracts/billing.json"), document("billing", taken, &[placed])).unwrap();
    page.run_commands(&COMMANDS[..]);
    let rendered = fs::read_to_string(page.path("catalog/events/orders.order.placed.md")).unwrap();
    assert!(rendered.contains("| `pence` | integer (int64) | yes |"), "{rendered}");
    fs::write(page.path("contracts/refunds.json"), document("refunds", "a.b", &[refunded])).unwrap();
    let check = ["-c", "messagekit catalog check contracts/*.json --external payments.payment.refunded"];
    let printed = page.run(std::path::Path::new("sh"), &check);
    assert!(printed.contains("no problems, 1 warnings, 3 services, 4 events"), "{printed}");
}
