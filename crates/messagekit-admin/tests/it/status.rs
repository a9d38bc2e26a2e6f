//! All databases at a glance.

use std::sync::Arc;

use messagekit::operations::Operations;
use messagekit_admin::Role;
use messagekit_memory::MemoryStore;
use messagekit_sqlite::SqliteStore;
use serde_json::json;

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
