//! One event with its causes and effects, over two databases.

use std::sync::Arc;

use messagekit::adapter::{EventLinks, OutboxRows};
use messagekit::operations::Operations;
use messagekit::{ErrorKind, Message, MessageId, headers};
use messagekit_admin::{Overview, Role};
use messagekit_memory::{Failpoint, MemoryStore};
use serde_json::{Value, json};

use crate::ask::Console;
use crate::stock::{SECRET, Stores, dead};

const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

/// Writes an event that another one has led to, in the correlation of `e-1`.
async fn write<S: OutboxRows>(store: &S, id: &str, cause: Option<&str>) {
    let parsed = |id: &str| -> MessageId { id.parse().unwrap() };
    let links = EventLinks {
        correlation_id: cause.map(|_| parsed("e-1")),
        causation_id: cause.map(parsed),
        replay_of: None,
    };
    let mut message = Message::new("orders.order", format!("{{\"note\":\"{SECRET}\"}}"))
        .with_key("o-1")
        .with_header(headers::ID, id.to_owned())
        .with_header(headers::EVENT_TYPE, "orders.order.placed")
        .with_header(headers::TRACEPARENT, TRACE)
        .with_header(headers::FREE_HEADERS, format!("{{\"tenant\":\"{SECRET}\"}}"));
    links.add_to(&mut message.headers);
    let mut tx = store.begin().await.unwrap();
    store.write(&mut tx, &[message]).await.unwrap();
    store.commit(tx).await.unwrap();
}

/// Two services: the second wrote what the first one's events led to.
async fn two_services() -> (Console, Stores) {
    let stores = Stores::with(0, 0).await;
    write(&stores.memory, "e-1", None).await;
    write(&stores.sqlite, "e-2", Some("e-1")).await;
    write(&stores.memory, "e-3", Some("e-2")).await;
    write(&stores.sqlite, "e-4", Some("e-2")).await;
    let [memory, sqlite] = stores.each();
    (Console::of([("shop", memory), ("billing", sqlite)]), stores)
}

#[tokio::test]
async fn event_is_shown_with_causes_and_effects_of_all_databases() {
    let (console, _stores) = two_services().await;
    let shown = console.get("/api/v1/events/e-2").await;
    assert_eq!(shown["databases"].as_array().unwrap().len(), 1, "only those that know it: {shown}");
    let known = &shown["databases"][0];
    assert_eq!((&known["database"], &known["event"]["causation_id"]), (&json!("billing"), &json!("e-1")));
    assert_eq!(known["event"]["publication"]["state"], "published");
    assert!(known["event"]["partition"].is_u64() && known["event"]["offset"] == 0, "{known}");
    assert_eq!(shown["causes"][0]["event_id"], "e-1");
    assert_eq!(shown["causes"][0]["event"]["database"], "shop");
    let effects = shown["effects"].as_array().unwrap();
    let effects: Vec<&Value> = effects.iter().map(|effect| &effect["event"]["event_id"]).collect();
    assert_eq!(effects.len(), 2);
    assert!(effects.contains(&&json!("e-3")) && effects.contains(&&json!("e-4")), "{shown}");
    assert_eq!((&shown["is_cut"], &shown["unreachable"]), (&json!(false), &json!([])));

    let first = console.get("/api/v1/events/e-1").await;
    assert_eq!(first["effects"][0]["event"]["event_id"], "e-2");
    assert_eq!(first["effects"][0]["effects"].as_array().unwrap().len(), 2, "{first}");
}

#[tokio::test]
async fn cause_that_no_database_keeps_is_named() {
    let store = MemoryStore::new();
    write(&store, "e-9", Some("e-lost")).await;
    let console = Console::of([("shop", Arc::new(store) as _)]);
    let shown = console.get("/api/v1/events/e-9").await;
    assert_eq!(shown["causes"], json!([{"event_id": "e-lost", "event": null}]));
    // Its effects show what it has led to.
    assert_eq!(console.get("/api/v1/events/e-lost").await["effects"][0]["event"]["event_id"], "e-9");
}

/// Each step would wait for it again, and the whole answer for all steps.
#[tokio::test]
async fn a_silent_database_is_not_asked_again_and_is_named() {
    let (shop, billing) = (MemoryStore::new(), MemoryStore::new());
    write(&shop, "e-1", None).await;
    write(&shop, "e-2", Some("e-1")).await;
    write(&billing, "e-3", Some("e-2")).await;
    let console =
        Console::of([("shop", Arc::new(shop.clone()) as _), ("billing", Arc::new(billing.clone()) as _)]);
    let whole = console.get("/api/v1/events/e-1").await;
    assert_eq!(whole["effects"][0]["effects"][0]["event"]["event_id"], "e-3", "{whole}");

    let silent = json!([{"database": "billing", "error": "does not answer"}]);
    billing.fail_next(Failpoint::LinkedEvents, ErrorKind::Unavailable);
    let shown = console.get("/api/v1/events/e-1").await;
    assert_eq!(shown["effects"][0]["event"]["event_id"], "e-2", "{shown}");
    assert_eq!((&shown["effects"][0]["effects"], &shown["unreachable"]), (&json!([]), &silent));

    // What is known by then is shown where every database falls silent.
    shop.fail_next(Failpoint::LinkedEvents, ErrorKind::Unavailable);
    billing.fail_next(Failpoint::LinkedEvents, ErrorKind::Unavailable);
    let shown = console.get("/api/v1/events/e-1").await;
    assert_eq!(shown["databases"][0]["database"], "shop", "{shown}");
    assert_eq!((shown["unreachable"].as_array().unwrap().len(), &shown["is_cut"]), (2, &json!(true)));
}

#[tokio::test]
async fn header_values_and_trace_are_for_readers() {
    let (console, _stores) = two_services().await;
    let viewed = console.ask(Role::Viewer, "GET /api/v1/events/e-1").await;
    assert!(!viewed.text().contains(SECRET) && !viewed.text().contains("4bf92f35"), "{}", viewed.text());
    let read = console.ask(Role::Reader, "GET /api/v1/events/e-1").await;
    let event = &read.json()["databases"][0]["event"];
    assert_eq!(event["trace_id"], "4bf92f3577b34da6a3ce929d0e0e4736");
    assert!(event["headers"].to_string().contains(SECRET), "{event}");
    assert!(event.get("payload").is_none(), "{event}");
}

#[tokio::test]
async fn consumers_and_failed_messages_of_an_event_are_shown() {
    let store = MemoryStore::new();
    dead(&store, 1).await;
    let console = Console::of([("shop", Arc::new(store) as _)]);
    console.ask(Role::Operator, "POST /api/v1/dlq/1/discard").await;
    let shown = console.get("/api/v1/events/m-1").await;
    let known = &shown["databases"][0];
    assert_eq!(known["event"], Value::Null, "another database wrote it");
    assert_eq!(
        (&known["outcomes"][0]["consumer"], &known["outcomes"][0]["outcome"]),
        (&json!("billing"), &json!("discarded"))
    );
    assert_eq!(known["outcomes"][0]["attempts"], known["failed_messages"][0]["attempts"]);
    assert_eq!(known["failed_messages"][0]["id"], 1);
    assert_eq!(
        (&known["actions"][0]["action"], &known["actions"][0]["operator"]),
        (&json!("discard"), &json!("the-operator"))
    );
}

#[tokio::test]
async fn chain_and_breadth_are_bounded_and_said_to_be_cut() {
    let store = MemoryStore::new();
    write(&store, "e-1", None).await;
    for number in 2..=25 {
        write(&store, &format!("e-{number}"), Some(&format!("e-{}", number - 1))).await;
    }
    for number in 0..250 {
        write(&store, &format!("w-{number}"), Some("wide")).await;
    }
    write(&store, "wide", None).await;
    let console = Console::of([("shop", Arc::new(store) as _)]);
    let deep = console.get("/api/v1/events/e-13").await;
    assert_eq!((&deep["is_cut"], deep["causes"].as_array().unwrap().len()), (&json!(true), 10));
    let ends = console.get("/api/v1/events/e-20").await;
    assert_eq!((&ends["is_cut"], ends["causes"].as_array().unwrap().len()), (&json!(true), 10));
    let near = console.get("/api/v1/events/e-5").await;
    assert_eq!(near["causes"].as_array().unwrap().len(), 4);
    let wide = console.get("/api/v1/events/wide").await;
    let effects = wide["effects"].as_array().unwrap().len();
    assert!(wide["is_cut"] == true && (150..=200).contains(&effects), "{effects}");
}

#[tokio::test]
async fn events_are_found_by_correlation_and_by_key() {
    let (console, _stores) = two_services().await;
    let ids = |found: &Value| -> Vec<String> {
        let events = found["events"].as_array().unwrap().iter();
        events.map(|event| event["event_id"].as_str().unwrap().to_owned()).collect()
    };
    let all = console.get("/api/v1/events?correlation=e-1").await;
    assert_eq!(ids(&all), ["e-1", "e-2", "e-3", "e-4"]);
    assert_eq!(ids(&console.get("/api/v1/events?correlation=e-1&database=billing").await), ["e-2", "e-4"]);
    let by_key = console.get("/api/v1/events?key=o-1&type=orders.order.placed").await;
    assert_eq!(by_key["events"], all["events"], "with the same links");
    assert_eq!(by_key["events"][3]["causation_id"], "e-2");
    assert_eq!(ids(&console.get("/api/v1/events?key=o-2").await), Vec::<String>::new());
    assert_eq!(ids(&console.get("/api/v1/events?since=2126-01-01T00:00:00Z").await), Vec::<String>::new());
    let few = console.get("/api/v1/events?correlation=e-1&limit=2").await;
    assert_eq!((ids(&few).len(), &few["is_cut"]), (2, &json!(true)));
    console.ask(Role::Viewer, "GET /api/v1/events?correlatoin=e-1").await.is_problem(400);
    console.ask(Role::Viewer, "GET /api/v1/events?correlation=").await.is_problem(422);
}

#[tokio::test]
async fn unknown_event_is_not_found_unless_a_database_is_silent() {
    let (well, silent) = (MemoryStore::new(), tempfile::TempDir::new().unwrap());
    write(&well, "e-1", None).await;
    let silent = messagekit_sqlite::SqliteStore::open(silent.path().join("gone.db")).await.unwrap();
    let store: Arc<dyn Operations> = Arc::new(silent.clone());
    let console = Console::of([("shop", Arc::new(well) as _), ("gone", store.clone())]);
    console.ask(Role::Viewer, "GET /api/v1/events/e-0").await.is_problem(404);
    console.ask(Role::Viewer, "GET /api/v1/events/%01").await.is_problem(400);
    silent.close().await.unwrap();
    let shown = console.get("/api/v1/events/e-0").await;
    assert_eq!(shown["unreachable"][0]["database"], "gone", "it may know the event: {shown}");
    let shown = console.get("/api/v1/events/e-1").await;
    assert_eq!(
        (shown["databases"].as_array().unwrap().len(), &shown["unreachable"][0]["database"]),
        (1, &json!("gone"))
    );

    let alone = Overview::new([("gone", store)]);
    assert_eq!(alone.event(&"e-1".parse().unwrap()).await.unwrap_err().kind(), ErrorKind::Unavailable);
}
