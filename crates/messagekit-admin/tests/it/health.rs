//! Health, readiness, lag and metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use messagekit::adapter::{BoxFuture, OutboxRows, PublishError, PublishErrorKind, Published, Publisher};
use messagekit::operations::OutboxLag;
use messagekit::relay::Relay;
use messagekit::{Error, ErrorKind, Message, Shutdown, headers};
use messagekit_admin::{Admin, Health, HealthLimits, Role};
use messagekit_memory::{Failpoint, MemoryStore, TestGate};
use messagekit_sqlite::SqliteOptions;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::ask::{Console, asked, until};
use crate::stock::fill;

fn two() -> (MemoryStore, MemoryStore, Console) {
    let (shop, stock) = (MemoryStore::new(), MemoryStore::new());
    let console =
        Console::of([("shop", Arc::new(shop.clone()) as _), ("stock", Arc::new(stock.clone()) as _)]);
    (shop, stock, console)
}

fn lag(pending: u64, overdue: u64, oldest: u64) -> OutboxLag {
    OutboxLag { pending, overdue, oldest: Some(Duration::from_secs(oldest)), ..OutboxLag::default() }
}

#[tokio::test]
async fn ready_names_a_silent_database_and_live_needs_none() {
    let (_, stock, console) = two();
    let ready = console.get("/health/ready").await;
    assert_eq!((&ready["status"], ready["databases"].as_array().unwrap().len()), (&json!("healthy"), 2));
    stock.fail_next(Failpoint::Ping, ErrorKind::Unavailable);
    assert_eq!(console.ask(Role::Viewer, "GET /health/live").await.status, 200);
    let answer = console.ask(Role::Viewer, "GET /health/ready").await;
    assert_eq!(answer.status, 503);
    let databases = json!([
        {"database": "shop", "status": "healthy"},
        {"database": "stock", "status": "unhealthy", "error": "does not answer"},
    ]);
    assert_eq!(answer.json()["databases"], databases);
    assert_eq!(console.get("/health/ready").await["status"], "healthy");
}

#[tokio::test]
async fn outbox_keeps_the_known_fields_and_is_not_well_with_a_backlog() {
    let (shop, stock, console) = two();
    shop.pretend_lag(lag(2_000, 1_000, 12));
    stock.pretend_lag(lag(5, 0, 3));
    let well = console.get("/health/outbox").await;
    assert_eq!(well["status"], "healthy");
    assert!(well["timestamp"].is_string());
    assert_eq!(well["checks"]["database"], json!({"status": "healthy"}));
    let outbox = json!({"status": "healthy", "pending_count": 2_005, "oldest_event_age_seconds": 12.0, "problems": []});
    assert_eq!(well["checks"]["outbox"], outbox);
    for bad in [
        lag(2_000, 1_001, 12),
        lag(1, 1, 301),
        OutboxLag { problems: vec!["the slot is lost".to_owned()], ..lag(0, 0, 0) },
    ] {
        stock.pretend_lag(bad);
        let answer = console.ask(Role::Viewer, "GET /health/outbox").await;
        assert_eq!((answer.status, &answer.json()["checks"]["outbox"]["status"]), (503, &json!("degraded")));
        assert_eq!(answer.json()["databases"][0]["status"], "healthy");
    }
}

#[tokio::test]
async fn health_alone_is_open_and_holds_nothing_else() {
    let app = Health::new().store("shop", MemoryStore::new()).router();
    for (path, status) in [
        ("/health/live", 200),
        ("/health/ready", 200),
        ("/health/outbox", 200),
        ("/health", 200),
        ("/metrics", 404),
        ("/api/v1/dlq", 404),
    ] {
        let response = app.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{path}");
        assert!(response.headers().contains_key("x-content-type-options"), "{path}");
        let body = to_bytes(response.into_body(), 100_000).await.unwrap();
        if status == 200 {
            let body: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body["status"], "healthy", "{path}");
        }
    }
}

#[tokio::test]
async fn a_service_and_an_admin_may_set_other_limits_for_a_backlog() {
    let store = MemoryStore::new();
    store.pretend_lag(lag(9_000, 5_000, 900));
    let limits = HealthLimits::new().oldest_event(Duration::from_secs(900)).overdue_events(5_000);
    let admin = Admin::builder().database("shop", Arc::new(store.clone())).limits(limits);
    let console = Console::with(admin);
    let (usual, wide) = (Health::new().store("shop", store.clone()), Health::new().limits(limits));
    let wide = wide.store("shop", store.clone()).router();
    let status = async |app: &Router| {
        let request = Request::get("/health/outbox").body(Body::empty()).unwrap();
        app.clone().oneshot(request).await.unwrap().status().as_u16()
    };
    assert_eq!((status(&usual.router()).await, status(&wide).await), (503, 200));
    assert_eq!(console.get("/health/outbox").await["status"], "healthy");
    store.pretend_lag(lag(9_000, 5_000, 901));
    assert_eq!(status(&wide).await, 503);
    assert_eq!(console.ask(Role::Viewer, "GET /health/outbox").await.status, 503);
}

#[tokio::test]
async fn metrics_show_pending_events_and_dead_letters() {
    let store = MemoryStore::new();
    fill(&store, 4, 0).await;
    store.pretend_lag(lag(17, 0, 2));
    let console = Console::of([("shop", Arc::new(store) as _)]);
    console.get("/api/v1/dlq/1").await;
    let answer = console.ask(Role::Viewer, "GET /metrics").await;
    let text = answer.text();
    for line in [
        r#"messagekit_outbox_pending{database="shop"} 17"#,
        r#"messagekit_outbox_oldest_seconds{database="shop"} 2"#,
        r#"messagekit_failed_messages{database="shop",consumer="billing",state="dead"} 4"#,
        r#"route="/api/v1/dlq/{id}",status="200""#,
    ] {
        assert!(text.contains(line), "{line} in {text}");
    }
    assert!(answer.header("content-type").starts_with("text/plain"));
    assert!(!text.contains("/api/v1/dlq/1"), "a path would be a label without bound");
}

/// A broker that does not know its topics yet.
struct Closed;

impl Publisher for Closed {
    fn publish<'a>(&'a self, batch: &'a [Message]) -> BoxFuture<'a, Vec<Published>> {
        let refused = |_: &Message| {
            let error = Error::new(ErrorKind::Unavailable, "topic is not there".to_owned());
            Err(PublishError { refusal: PublishErrorKind::Unavailable, error })
        };
        Box::pin(std::future::ready(batch.iter().map(refused).collect()))
    }

    fn max_bytes(&self) -> usize {
        1_000_000
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_names_topics_that_its_broker_refuses_and_stays_ready() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default().relayed_topics(["orders.order"]);
    let store = options.open(folder.path().join("shop.db")).await.unwrap();
    let placed = Message::new("orders.order", "{}")
        .with_header(headers::ID, "m-1")
        .with_header(headers::EVENT_TYPE, "orders.order.placed");
    store.transaction(async |tx| Ok(store.write(tx, &[placed]).await?)).await.unwrap();
    let relay = Relay::builder("shop").reader(Arc::new(store)).to(Arc::new(Closed)).build().unwrap();
    let app = Health::new().relay("shop", relay.stats()).router();
    let (status, ready) = asked(&app).await;
    let idle = json!([{"relay": "shop", "status": "healthy", "shards": 0}]);
    assert_eq!((status, &ready["relays"]), (200, &idle));

    let shutdown = Shutdown::new();
    let running = tokio::spawn(relay.run(shutdown.clone()));
    let mut refused = (0, Value::Null);
    until("it is refused", async || {
        refused = asked(&app).await;
        refused.1["relays"][0]["status"] == "degraded"
    })
    .await;
    let (status, relay) = (refused.0, &refused.1["relays"][0]);
    assert_eq!(status, 200, "a restart would not help: {relay}");
    let finding = relay["findings"][0].as_str().unwrap();
    assert!(finding.starts_with("the broker does not accept topic orders.order for "), "{relay}");
    assert!(relay["shards"].as_u64().unwrap() > 0, "{relay}");
    shutdown.request();
    running.await.unwrap().unwrap();
    let (status, ready) = asked(&app).await;
    assert_eq!((status, &ready["relays"][0]["error"]), (503, &json!("its run has ended")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_relay_names_the_gate_that_holds_it_back_and_stays_ready() {
    let folder = tempfile::tempdir().unwrap();
    let options = SqliteOptions::default().relayed_topics(["orders.order"]);
    let store = options.open(folder.path().join("shop.db")).await.unwrap();
    let gate = TestGate::new();
    gate.close();
    let relay = Relay::builder("shop").reader(Arc::new(store)).to(Arc::new(Closed)).gate(gate);
    let relay = relay.build().unwrap();
    let app = Health::new().relay("shop", relay.stats()).router();
    let shutdown = Shutdown::new();
    let running = tokio::spawn(relay.run(shutdown.clone()));
    let mut seen = (0, Value::Null);
    until("it is held back", async || {
        seen = asked(&app).await;
        seen.1["relays"][0]["held_back_by"]["gate"] == "test"
    })
    .await;
    assert_eq!((seen.0, &seen.1["relays"][0]["status"]), (200, &json!("healthy")));
    shutdown.request();
    running.await.unwrap().unwrap();
}
