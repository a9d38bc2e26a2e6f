//! `messagekit catalog render`: an AsyncAPI document and pages, from what services print.

use std::fs;

use serde_json::{Value, json};

use crate::asyncapi_schema::{assert_valid, is_valid};
use crate::services::{Known, Services, object, tree};

const PLACED: &str = "orders.order.placed";
const PAGE: &str = "events/orders.order.placed.md";

/// The schema of an order, with what structs and models have: definitions, variants, tuples, itself.
fn order() -> Value {
    let mut schema = object(&[
        ("id!", json!({"type": "string", "format": "uuid"})),
        ("lines!", json!({"type": "array", "items": {"$ref": "#/$defs/Line"}})),
        ("note", json!({"type": ["string", "null"], "description": "what the customer wrote"})),
        (
            "paid!",
            json!({"oneOf": [{"$ref": "#/$defs/Card"}, {"const": "cash"}], "discriminator": {"propertyName": "kind"}}),
        ),
        (
            "size!",
            json!({"type": "array", "prefixItems": [{"type": "integer"}, {"type": "integer"}], "items": false}),
        ),
        ("before", json!({"anyOf": [{"$ref": "#"}, {"type": "null"}]})),
    ]);
    schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    schema["title"] = json!("OrderPlaced");
    schema["description"] = json!("A customer has placed an order.");
    schema["$defs"] = json!({
        "Line": object(&[("pence!", json!({"type": "integer", "format": "int64"}))]),
        "Card": object(&[("number!", json!({"type": "string"}))]),
    });
    schema
}

fn id() -> Value {
    object(&[("id!", json!({"type": "string"}))])
}

fn placed(version: &str, schema: Value) -> Known {
    Known::new(PLACED, version, schema)
}

fn taken() -> Known {
    Known::new("payments.payment.taken", "1.0", id())
}

fn shop() -> Services {
    Services::new().with("orders", &[placed("1.0", id()), placed("2.0", order())], &[taken()], &[]).with(
        "billing",
        &[taken()],
        &[placed("2.0", order()).upcast_from(&["1.0"])],
        &[placed("1.0", id())],
    )
}

fn asyncapi(services: &Services) -> Value {
    let folder = services.render("out");
    serde_json::from_str(&fs::read_to_string(folder.join("asyncapi.json")).unwrap()).unwrap()
}

/// Adds each value of a keyword, at any depth.
fn gather<'a>(value: &'a Value, keyword: &str, found: &mut Vec<&'a Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(keyword));
            fields.values().for_each(|value| gather(value, keyword, found));
        }
        Value::Array(items) => items.iter().for_each(|item| gather(item, keyword, found)),
        _ => {}
    }
}

/// Requires that each reference leads to a part of the document; returns how many there are.
fn assert_references_resolve(document: &Value) -> usize {
    let mut references = Vec::new();
    gather(document, "$ref", &mut references);
    for reference in &references {
        let pointer =
            reference.as_str().and_then(|text| text.strip_prefix('#')).expect("inside of the document");
        assert!(document.pointer(pointer).is_some(), "{reference} dangles");
    }
    references.len()
}

#[test]
fn the_document_is_one_of_asyncapi() {
    let document = asyncapi(&shop());
    assert_valid(&document);
    let mut broken = document.clone();
    broken["channels"]["orders.order"]["messages"] = json!([]);
    assert!(!is_valid(&broken), "the official schema is no empty one");
    assert!(assert_references_resolve(&document) > 20);
    assert_eq!(document["channels"]["orders.order"]["address"], "orders.order");
    let operation = |name: &str| &document["operations"][name];
    let messages = |name: &str| operation(name)["messages"].as_array().map(Vec::len);
    assert_eq!(operation("orders_send_orders.order")["action"], "send");
    assert_eq!(messages("orders_send_orders.order"), Some(2));
    assert_eq!(operation("billing_receive_orders.order")["action"], "receive");
    assert_eq!(messages("billing_receive_orders.order"), Some(2), "it is upcast from the first version");
    assert_eq!(document["operations"].as_object().unwrap().len(), 4, "no service does what it does not say");
}

#[test]
fn a_sample_fits_the_payload_that_the_document_describes() {
    let mut counted = id();
    counted["additionalProperties"] = json!({"type": "integer"});
    let mut closed = id();
    closed["additionalProperties"] = json!(false);
    let others = [Known::new("a.counted", "1.0", counted), Known::new("a.closed", "1.0", closed)];
    let document = asyncapi(&shop().with("others", &others, &[], &[]));
    let messages = document["components"]["messages"].as_object().unwrap();
    assert_eq!(messages.len(), 5);
    for (name, message) in messages {
        let example = &message["examples"][0];
        for (part, schema) in [("payload", &message["payload"]), ("headers", &message["headers"])] {
            let mut schema = schema.clone();
            schema["components"] = document["components"].clone();
            schema["$schema"] = json!("http://json-schema.org/draft-07/schema#");
            let validator = jsonschema::validator_for(&schema).unwrap();
            assert!(validator.is_valid(&example[part]), "{name}: {}", example[part]);
            assert!(!validator.is_valid(&json!({"eventType": "another"})), "{name}");
        }
        assert_eq!(example["headers"]["eventType"], message["name"]);
    }
    let newest = &messages["orders.order.placed_v2.0"]["examples"][0]["payload"];
    assert_eq!((&newest["dataVersion"], &newest["source"]), (&json!("2.0"), &json!("orders")), "{newest}");
    assert_eq!(newest["lines"], json!([{"pence": 1}]), "{newest}");
}

#[test]
fn a_page_says_who_writes_and_reads_which_version() {
    let services = shop();
    let folder = services.render("out");
    let page = fs::read_to_string(folder.join(PAGE)).unwrap();
    for text in [
        "# orders.order.placed\n",
        "A customer has placed an order.",
        "| owner | team-orders |",
        "| topic | `orders.order` |",
        "| producers | `orders` (1.0, 2.0) |",
        "| consumers | `billing` (2.0 upcast from 1.0) |",
        "## Version 2.0\n\nWritten by: `orders`. Read as it is by: `billing`.",
        "## Version 1.0\n\nWritten by: `orders`. Read as it is by: none.",
        "| `lines[].pence` | integer (int64) | yes |  |",
        "| `note` | string or null | no | what the customer wrote |",
        "\"const\": \"cash\"",
    ] {
        assert!(page.contains(text), "{text}: {page}");
    }
    let index = fs::read_to_string(folder.join("README.md")).unwrap();
    for text in [
        "2 services, 2 events; [AsyncAPI](asyncapi.json)",
        "| `orders.order` | [orders.order.placed](events/orders.order.placed.md) | team-orders | 1.0, 2.0 |",
        "| `billing` | team-billing | [payments.payment.taken](events/payments.payment.taken.md) 1.0 |",
    ] {
        assert!(index.contains(text), "{text}: {index}");
    }
}

#[test]
fn a_sample_of_a_page_is_an_example_of_the_schema() {
    let mut schema = id();
    schema["examples"] = json!([{"id": "o-4711"}]);
    let mut strict = id();
    strict["properties"]["id"]["pattern"] = json!("^o-[0-9]+$");
    let services = Services::new().with("orders", &[placed("1.0", schema), placed("2.0", strict)], &[], &[]);
    let page = fs::read_to_string(services.render("out").join(PAGE)).unwrap();
    assert!(page.contains("```json\n{\n  \"id\": \"o-4711\"\n}\n```"), "{page}");
    assert!(page.contains("None can be made from this schema: add `examples` to it."), "{page}");
}

#[test]
fn equal_documents_give_equal_bytes_in_any_order() {
    let services = shop();
    let first = tree(&services.render("one"));
    assert_eq!(first.len(), 4, "{first:?}");
    let again = services.run("render", &["--to", &services.text("one")]);
    assert_eq!(again.text(), "4 files, 0 written, 0 removed\n");
    let services = services.reversed();
    assert_eq!(tree(&services.render("two")), first);
}

#[test]
fn services_that_disagree_have_a_part_each() {
    let services = Services::new().with("orders", &[placed("1.0", id())], &[], &[]).with(
        "shop",
        &[placed("1.0", order())],
        &[],
        &[],
    );
    let document = asyncapi(&services);
    assert_valid(&document);
    assert_references_resolve(&document);
    let names: Vec<&String> = document["components"]["messages"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["orders.order.placed_v1.0", "orders.order.placed_v1.0_n2"]);
    let page = fs::read_to_string(services.path("out").join(PAGE)).unwrap();
    assert!(
        page.contains("## Version 1.0 of orders\n") && page.contains("## Version 1.0 of shop\n"),
        "{page}"
    );
}

#[test]
fn hostile_names_stay_in_their_cells_and_in_the_folder() {
    let hostile = "a|b\n\n# x\u{202e}<script>`*[l]";
    let mut schema = object(&[(
        &format!("{hostile}!"),
        json!({"type": "string", "description": hostile, "format": hostile}),
    )]);
    schema["description"] = json!(hostile);
    schema["$defs"] = json!({hostile: {"type": "integer", "description": "```\n```"}});
    schema["properties"]["n"] = json!({"$ref": format!("#/$defs/{hostile}")});
    let known = |event_type: &str| Known::new(event_type, "1.0", schema.clone()).topic(hostile);
    let types = ["../../outside", "/etc/passwd", "..", "", hostile, "A.b", "a.b"];
    let events: Vec<Known> = types.iter().map(|name| known(name)).collect();
    let services = Services::new().with("orders", &events, &[], &[]);
    let document = asyncapi(&services);
    assert_valid(&document);
    assert_references_resolve(&document);
    let outside: Vec<String> = tree(services.path("").as_path()).into_iter().map(|(name, _)| name).collect();
    assert!(outside.iter().all(|name| name == "0.json" || name.starts_with("out/")), "{outside:?}");
    let pages = tree(&services.path("out/events"));
    assert_eq!(pages.len(), types.len(), "each has a page of its own");
    let index = fs::read_to_string(services.path("out/README.md")).unwrap();
    for text in pages.into_iter().map(|(_, text)| text).chain([index]) {
        assert!(!text.contains('\u{202e}') && !text.lines().any(|line| line.starts_with("# x")), "{text}");
        let prose: String = text.split("\n```").step_by(2).collect();
        assert_eq!(prose.matches("<script").count(), prose.matches("\\<script").count(), "{prose}");
        let mut columns = None;
        for line in prose.lines() {
            let count = line.starts_with('|').then(|| line.replace("\\|", "").matches('|').count());
            assert!(columns.is_none() || count.is_none() || columns == count, "{line}");
            columns = count;
        }
    }
}
