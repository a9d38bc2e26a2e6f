//! Data that is checked against its schema, when it is written and before it is handled.

use messagekit::adapter::codec;
use messagekit::{
    Consumer, Envelope, ErrorKind, Event, EventRegistry, HandlerError, Message, Outbox, Store, WireForm,
};
use messagekit_memory::{MemoryStore, MemoryTx};
use messagekit_schema::{Contract, Contracts, EventContracts, Validation, ValidationMode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::fixture::{CONSUMER, World, start, until};

#[derive(Clone, Debug, Event, Serialize, Deserialize, JsonSchema)]
#[event(type = "orders.order.booked", topic = "orders.order", key = "order", version = "1.2")]
struct Booked {
    order: String,
    #[schemars(range(min = 1, max = 100))]
    n: i64,
    #[schemars(length(min = 2, max = 3))]
    country: String,
    #[schemars(regex(pattern = "^[A-Z]*$"))]
    code: Option<String>,
    lines: Vec<Line>,
    payment: Option<Payment>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
struct Line {
    #[schemars(length(min = 1))]
    sku: String,
    tags: std::collections::BTreeMap<String, Tag>,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Tag {
    Red,
    Blue,
}

#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "by", rename_all = "lowercase")]
enum Payment {
    Card { digits: u16 },
    Cash,
}

fn booked(n: i64) -> Booked {
    let line = Line { sku: "s".to_owned(), tags: [("a".to_owned(), Tag::Red)].into() };
    Booked {
        order: "o".to_owned(),
        n,
        country: "GB".to_owned(),
        code: None,
        lines: vec![line],
        payment: Some(Payment::Card { digits: 7 }),
    }
}

fn contracts() -> Contracts {
    EventRegistry::new().with_schema::<Booked>().expect("one event").contracts().expect("a shape")
}

fn validation(mode: ValidationMode) -> Validation {
    Validation::new(&contracts(), mode).expect("schemas")
}

fn check(data: &Value) -> Result<(), String> {
    let strict = validation(ValidationMode::Strict);
    strict.check("orders.order.booked", "1.2", data.to_string().as_bytes()).map_err(|error| {
        assert_eq!(error.kind(), ErrorKind::InvalidEvent);
        error.to_string()
    })
}

#[test]
fn each_rule_is_named_with_its_field_and_without_a_value() {
    let sound = json!(booked(1));
    check(&sound).expect("it matches");
    let changed = |pointer: &str, value: Value| {
        let mut data = sound.clone();
        *data.pointer_mut(pointer).expect("a field") = value;
        data
    };
    for (data, fault) in [
        (changed("/n", json!(0)), "`n` breaks `minimum`"),
        (changed("/n", json!(101)), "`n` breaks `maximum`"),
        (changed("/n", json!(1.5)), "`n` breaks `type`: it is a number"),
        (changed("/n", json!("secret")), "`n` breaks `type`: it is a text"),
        (changed("/n", json!(null)), "`n` breaks `type`: it is null"),
        (changed("/order", json!(true)), "`order` breaks `type`: it is a truth value"),
        (changed("/order", json!(["secret"])), "`order` breaks `type`: it is a list"),
        (changed("/lines", json!({"secret": 1})), "`lines` breaks `type`: it is an object"),
        (changed("/country", json!("G")), "`country` breaks `minLength`"),
        (changed("/country", json!("éèàü")), "`country` breaks `maxLength`"),
        (changed("/code", json!("secret")), "`code` breaks `pattern`"),
        (changed("/lines/0/sku", json!("")), "`lines[].sku` breaks `minLength`"),
        (changed("/lines/0", json!({"sku": "s"})), "`lines[].tags` is missing"),
        (changed("/lines/0/tags/a", json!("secret")), "`lines[].tags.*` breaks `enum`"),
        (changed("/lines/0/tags/a", json!(3)), "`lines[].tags.*` breaks `type`: it is an integer"),
        (changed("/payment", json!({"by": "secret"})), "`payment` breaks `oneOf`"),
        (changed("/payment/digits", json!(70_000)), "`payment` breaks `oneOf`"),
        (json!({"order": "o"}), "`n` is missing"),
        (json!([]), "`data` breaks `type`: it is a list"),
    ] {
        let refused = check(&data).expect_err(fault);
        assert!(refused.contains(&format!("schema of version 1.2: {fault}")), "{refused} for {fault}");
        assert!(!refused.contains("secret"), "{refused}");
    }
    for fitting in [
        changed("/code", json!("AB")),
        changed("/code", json!(null)),
        changed("/payment", json!(null)),
        changed("/payment", json!({"by": "cash"})),
        changed("/country", json!("éèà")),
        changed("/n", json!(1.0)),
    ] {
        check(&fitting).unwrap_or_else(|error| panic!("{error}: {fitting}"));
    }
}

#[test]
fn only_events_with_a_schema_of_their_major_version_are_checked() {
    let strict = validation(ValidationMode::Strict);
    let check = |event_type: &str, version: &str| strict.check(event_type, version, b"{}").is_err();
    assert!(check("orders.order.booked", "1.2"));
    assert!(check("orders.order.booked", "1.0"), "an older minor version has what is required");
    assert!(check("orders.order.booked", "1.9"));
    assert!(!check("orders.order.booked", "2.0"));
    assert!(!check("orders.order.moved", "1.0"));
    assert!(!check("orders.order.booked", "one"), "who reads it next says what is wrong");
    strict.check("orders.order.booked", "1.2", b"{").expect("who reads it next says that it is no JSON");
}

#[test]
fn the_schema_of_the_version_counts_else_the_newest() {
    let contract = |version: &str, minimum: i64| Contract {
        event_type: "a.b".to_owned(),
        topic: "a".to_owned(),
        version: version.to_owned(),
        earlier: Vec::new(),
        schema: json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": minimum}}}),
    };
    for order in [["1.0", "1.2"], ["1.2", "1.0"]] {
        let minimum = |version| if version == "1.2" { 5 } else { 1 };
        let contracts = Contracts::new(order.map(|version| contract(version, minimum(version))).to_vec());
        let strict =
            Validation::new(&contracts.expect("two versions"), ValidationMode::Strict).expect("schemas");
        let fits = |version, data: &str| strict.check("a.b", version, data.as_bytes()).is_ok();
        assert!(fits("1.0", r#"{"n":4}"#) && !fits("1.0", r#"{"n":0}"#));
        for version in ["1.1", "1.2", "1.9"] {
            assert!(!fits(version, r#"{"n":4}"#) && fits(version, r#"{"n":5}"#), "{version}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_strict_outbox_writes_nothing_that_does_not_match() {
    let world = World::new(1);
    for form in [WireForm::Messagekit, WireForm::CloudEventsStructured, WireForm::CloudEventsBinary] {
        let store = MemoryStore::with_log(&world.log);
        let outbox = |mode| {
            let outbox = Outbox::new(store.clone(), "shop").expect("a name").wire_form(form);
            outbox.validation(validation(mode))
        };
        let before = world.log.len("orders.order");
        for (mode, is_written) in
            [(ValidationMode::Strict, false), (ValidationMode::Warn, true), (ValidationMode::Off, true)]
        {
            let mut tx = store.begin().await.expect("begun");
            let added = outbox(mode).add(&mut tx, booked(0)).await;
            assert_eq!(added.is_ok(), is_written, "{mode} {form}");
            if let Err(error) = added {
                assert_eq!(
                    (error.kind(), error.context("data_version")),
                    (ErrorKind::InvalidEvent, Some("1.2"))
                );
            }
            outbox(mode).add(&mut tx, booked(1)).await.expect("it matches");
            outbox(mode).commit(tx).await.expect("committed");
        }
        assert_eq!(world.log.len("orders.order") - before, 5);
    }
}

async fn count(tx: &mut MemoryTx, event: Envelope<Booked>) -> Result<(), HandlerError> {
    tx.add("n", event.data.n);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_strict_consumer_sets_aside_what_another_writer_got_wrong() {
    for (mode, handled, dead) in
        [(ValidationMode::Strict, 4, 2), (ValidationMode::Warn, 6, 0), (ValidationMode::Off, 6, 0)]
    {
        let world = World::new(1);
        for (number, n) in [0, 1, 101, 2, 1, 100].into_iter().enumerate() {
            let form = if n < 2 { WireForm::CloudEventsStructured } else { WireForm::Messagekit };
            let event = Booked { order: format!("o-{number}"), ..booked(n) };
            let message = codec::encode_as(&Envelope::new(event), "shop", form).expect("encoded");
            world.publish(message).await;
        }
        let builder =
            Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics(["orders.order"]));
        let consumer = start(builder.on(count).validation(validation(mode)));
        until(|| consumer.read().handled + world.failed_messages_now() as u64 == 6).await;
        let stats = consumer.stop().await;
        assert_eq!((stats.handled, world.failed_messages_now()), (handled, dead), "{mode}");
        for failed in world.failed_messages().await {
            assert!(failed.error.contains("`n` breaks"), "{}", failed.error);
            assert!(failed.received.id.as_str().len() == 36, "it keeps its id");
        }
    }
}

async fn take(_: &mut MemoryTx, _: Message) -> Result<(), HandlerError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_handler_of_messages_gets_what_does_not_match() {
    let world = World::new(1);
    world.publish(codec::encode(&Envelope::new(booked(0)), "shop").expect("encoded")).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics(["orders.order"]));
    let strict = validation(ValidationMode::Strict);
    let consumer = start(builder.on_message("orders.order.booked", take).validation(strict));
    until(|| consumer.read().handled == 1).await;
    consumer.stop().await;
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.booked", topic = "orders.order", key = "order", version = "2.0")]
struct BookedLater {
    order: String,
    n: i64,
}

async fn take_json(_: &mut MemoryTx, _: Envelope<Value>) -> Result<(), HandlerError> {
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn a_strict_on_json_takes_a_major_version_without_a_schema() {
    let world = World::new(1);
    world.publish(codec::encode(&Envelope::new(booked(0)), "shop").expect("encoded")).await;
    let later = BookedLater { order: "o-2".to_owned(), n: 0 };
    world.publish(codec::encode(&Envelope::new(later), "shop").expect("encoded")).await;
    let builder = Consumer::builder(CONSUMER, world.store.clone()).from(world.log.topics(["orders.order"]));
    let strict = validation(ValidationMode::Strict);
    let consumer = start(builder.on_json("orders.order.booked", take_json).validation(strict));
    until(|| consumer.read().handled + world.failed_messages_now() as u64 == 2).await;
    let stats = consumer.stop().await;
    assert_eq!((stats.handled, world.failed_messages_now()), (1, 1), "that of version 1 is checked");
}

#[test]
fn a_schema_that_is_none_is_refused_when_it_is_made_ready() {
    let contract = Contract {
        event_type: "a.b".to_owned(),
        topic: "a".to_owned(),
        version: "1.0".to_owned(),
        earlier: Vec::new(),
        schema: json!({"type": "object", "properties": {"n": {"type": "integer", "minimum": "one"}}}),
    };
    let contracts = Contracts::new(vec![contract]).expect("a contract");
    let error = Validation::new(&contracts, ValidationMode::Strict).expect_err("no schema");
    assert_eq!((error.kind(), error.context("event_type")), (ErrorKind::InvalidConfiguration, Some("a.b")));
    Validation::new(&contracts, ValidationMode::Off).expect("nothing is made ready");
    let error = "always".parse::<ValidationMode>().expect_err("no mode");
    assert!(error.to_string().contains("strict, warn or off"), "{error}");
}
