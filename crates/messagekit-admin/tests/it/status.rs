//! All databases at a glance.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::Publisher;
use messagekit::operations::Operations;
use messagekit::{Consumer, ErrorKind, Message, Shutdown, headers};
use messagekit_admin::{Health, Overview, Role, Service};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx, TestGate};
use messagekit_sqlite::SqliteStore;
use serde_json::json;
use tokio::net::TcpListener;

use crate::ask::Console;
use crate::stock::{Stores, dead, retrying};

#[tokio::test]
async fn status_shows_every_database_with_its_consumers() {
    let stores = Stores::with(2, 3).await;
    retrying(&stores.memory, 7).await;
    let [memory, sqlite] = stores.each();
    let console = Console::of([("shop", memory), ("billing", sqlite)]);
    let status = console.get("/api/v1/status").await;
    let shop = &status["databases"][0];
    assert_eq!((&shop["database"], &shop["outbox"]["publisher"]["mode"]), (&json!("shop"), &json!("local")));
    assert_eq!(
        shop["failed_messages"],
        json!([{"state": "retry_scheduled", "failed_messages": 1}, {"state": "dead", "failed_messages": 2}])
    );
    assert_eq!(
        (&status["databases"][1]["database"], &status["unreachable"]),
        (&json!("billing"), &json!([]))
    );

    let consumers = console.get("/api/v1/consumers").await;
    let names: Vec<_> = consumers["consumers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (&one["database"], &one["consumer"]))
        .collect();
    let named = [("shop", "billing"), ("shop", "stock"), ("billing", "billing")]
        .map(|(database, consumer)| (json!(database), json!(consumer)));
    assert_eq!(names, named.each_ref().map(|(database, consumer)| (database, consumer)));
    assert_eq!(
        consumers["consumers"][0]["failed_messages"],
        json!([{"state": "dead", "failed_messages": 2}])
    );
    assert!(consumers["consumers"][0]["oldest_failed_at"].is_string(), "{consumers}");
    assert_eq!(console.get("/api/v1/status?database=shop").await["databases"].as_array().unwrap().len(), 1);
    console.ask(Role::Viewer, "GET /api/v1/status?limit=1").await.is_problem(400);
    console.ask(Role::Viewer, "GET /api/v1/consumers?database=no").await.is_problem(404);
}

#[tokio::test]
async fn silent_database_is_named_in_the_status() {
    let (well, folder) = (MemoryStore::new(), tempfile::TempDir::new().unwrap());
    dead(&well, 1).await;
    let silent = SqliteStore::open(folder.path().join("gone.db")).await.unwrap();
    let store: Arc<dyn Operations> = Arc::new(silent.clone());
    let console = Console::of([("shop", Arc::new(well) as _), ("gone", store)]);
    silent.close().await.unwrap();
    for path in ["/api/v1/status", "/api/v1/consumers"] {
        let seen = console.get(path).await;
        assert_eq!(seen["unreachable"][0]["database"], "gone", "{seen}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_are_shown_with_their_lanes_and_gates() {
    let (log, gate) = (MemoryLog::new(2), TestGate::new());
    let billing = Consumer::builder("billing", MemoryStore::new())
        .from(log.topics(["orders.order"]))
        .on_message("orders.order.placed", async |_: &mut MemoryTx, _: Message| Ok(()))
        .gate(gate.clone())
        .build()
        .unwrap();
    let shutdown = Shutdown::new();
    let app = Health::new().consumer("billing", billing.stats()).router();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(messagekit_admin::serve(listener, app, shutdown.clone()));
    let running = tokio::spawn(billing.run(shutdown.clone()));
    gate.close();
    let placed = Message::new("orders.order", "{}")
        .with_header(headers::ID, "m-1")
        .with_header(headers::EVENT_TYPE, "orders.order.placed");
    log.publish(&[placed]).await[0].as_ref().unwrap();

    let silent = Service::new("shipping", "http://127.0.0.1:1").unwrap();
    let overview = Overview::new([("shop", Arc::new(MemoryStore::new()) as Arc<dyn Operations>)])
        .services([Service::new("billing", &address).unwrap(), silent]);
    let held_back = async {
        loop {
            let status = serde_json::to_value(overview.status().await.unwrap()).unwrap();
            let consumer = &status["services"][0]["consumers"][0];
            // The gate is closed before the source has assigned its lanes.
            if consumer["held_back_by"]["gate"] == "test" && consumer["lanes"] == 2 {
                return status;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let status =
        tokio::time::timeout(Duration::from_secs(60), held_back).await.expect("the gate holds it back");
    let [billing, shipping] = [0, 1].map(|number| &status["services"][number]);
    assert_eq!((&billing["service"], &billing["status"]), (&json!("billing"), &json!("healthy")));
    assert_eq!(billing["consumers"][0]["lanes"], 2);
    assert_eq!(shipping["error"], "no connection");
    assert_eq!(shipping["status"], "unhealthy");
    shutdown.request();
    running.await.unwrap().unwrap();
}

#[tokio::test]
async fn service_of_another_kind_is_named_as_such() {
    let app = axum::Router::new()
        .route("/health/ready", axum::routing::get(async || "{\"consumers\": 7, \"planted\": \"secret\"}"));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await });
    let overview = Overview::new([("shop", Arc::new(MemoryStore::new()) as Arc<dyn Operations>)])
        .services([Service::new("odd", &address).unwrap()]);
    let status = serde_json::to_value(overview.status().await.unwrap()).unwrap();
    let expected = "no service of messagekit serves its health there";
    assert_eq!(status["services"][0]["error"], expected);
    assert!(!status.to_string().contains("secret"), "{status}");
}

#[test]
fn address_with_a_login_or_a_path_is_no_service() {
    for address in ["http://me:sesame@h:1", "ftp://h", "h:1", "http://h/health", "http://h?a", ""] {
        let error = Service::new("billing", address).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfiguration, "{address}");
        assert!(!messagekit::chain(&error).contains("sesame"), "{error}");
    }
}
