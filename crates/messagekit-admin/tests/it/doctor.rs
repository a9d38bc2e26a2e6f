//! Faults of the setup, over HTTP.

use std::sync::Arc;

use messagekit_admin::Role;
use messagekit_memory::MemoryStore;
use serde_json::json;

use crate::ask::Console;

#[tokio::test]
async fn every_database_is_examined_or_the_named_one() {
    let stores = [("shop", Arc::new(MemoryStore::new()) as _), ("stock", Arc::new(MemoryStore::new()) as _)];
    let console = Console::of(stores);
    let answer = console.ask(Role::Operator, "GET /api/v1/doctor").await;
    assert_eq!((answer.status, answer.json()), (200, json!({"findings": [], "unchecked": [], "passed": []})));
    assert_eq!(console.ask(Role::Operator, "GET /api/v1/doctor?database=stock").await.status, 200);
    assert_eq!(console.ask(Role::Operator, "GET /api/v1/doctor?database=other").await.status, 404);
    assert_eq!(console.ask(Role::Operator, "GET /api/v1/doctor?databse=shop").await.status, 400);
}

/// Findings name hosts and roles.
#[tokio::test]
async fn only_operators_may_look_for_faults() {
    let console = Console::of([("shop", Arc::new(MemoryStore::new()) as _)]);
    for (role, status) in
        [(Role::Viewer, 403), (Role::Reader, 403), (Role::Operator, 200), (Role::Admin, 200)]
    {
        assert_eq!(console.ask(role, "GET /api/v1/doctor").await.status, status, "{role}");
    }
}
