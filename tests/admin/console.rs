//! Actions over HTTP on failed messages in PostgreSQL.

use std::sync::Arc;

use messagekit::Store;
use messagekit_admin::Role;
use messagekit_testkit::block_on;
use messagekit_tests::{Database, locks};
use serde_json::{Value, json};
use sqlx::Row;

use crate::stock::{self, Served};

pub(crate) fn ask(served: &Served, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let caller = served.caller(Role::Operator);
    match (method, body) {
        ("GET", _) => caller.get(path),
        (_, Some(body)) => caller.sends(path, body),
        (_, None) => caller.acts(path),
    }
}

#[test]
fn a_message_that_changes_during_an_action_is_skipped() {
    let database = block_on(async {
        let database = Database::fresh().await;
        stock::failed_messages(&database.store().await, "billing", 703).await;
        database
    });
    let served = Arc::new(Served::over(&database));
    let select = json!({"filter": {"state": "dead"}});
    let (_, selection) = ask(&served, "POST", "/api/v1/dlq/selections", Some(&select));
    let order = json!({
        "act": "discard", "filter": selection["filter"], "until_id": selection["until_id"],
        "count": selection["count"], "digest": selection["digest"],
    });
    let changed = selection["until_id"].as_i64().unwrap() - 100;
    let asked = Arc::clone(&served);
    let (status, answer) = block_on(async {
        let store = database.store().await;
        // It is in the second transaction of the action, and another operator discards it and brings it back.
        let mut rival = store.begin().await.unwrap();
        let update = "UPDATE messagekit.failed_messages SET token = token + 2 WHERE id = $1";
        sqlx::query(update).bind(changed).execute(&mut *rival).await.unwrap();
        let answer =
            tokio::task::spawn_blocking(move || ask(&asked, "POST", "/api/v1/dlq/bulk", Some(&order)));
        locks::until_one_waits(store.pool()).await;
        store.commit(rival).await.unwrap();
        answer.await.unwrap()
    });
    assert_eq!((status, &answer["done"], &answer["skipped"]), (200, &json!(702), &json!(1)));
    let (_, page) = ask(&served, "GET", "/api/v1/dlq?state=dead", None);
    assert_eq!(page["failed_messages"].as_array().unwrap().len(), 1, "it was not touched");
    assert_eq!(page["failed_messages"][0]["id"], changed);
}

#[test]
fn two_operators_have_one_effect_and_each_act_one_row() {
    let database = block_on(async {
        let database = Database::fresh().await;
        stock::failed_messages(&database.store().await, "billing", 1_203).await;
        database
    });
    let served = Served::over(&database);
    let (status, page) = ask(&served, "GET", "/api/v1/dlq?limit=1", None);
    assert_eq!(status, 200);
    let id = page["failed_messages"][0]["id"].as_i64().unwrap();
    let path = format!("/api/v1/dlq/{id}/retry");
    let mut seen: Vec<u16> = std::thread::scope(|scope| {
        let clicks: Vec<_> = (0..8).map(|_| scope.spawn(|| ask(&served, "POST", &path, None).0)).collect();
        clicks.into_iter().map(|click| click.join().unwrap()).collect()
    });
    seen.sort_unstable();
    assert_eq!(seen, [202, 409, 409, 409, 409, 409, 409, 409]);

    let select = json!({"filter": {"state": "dead"}});
    let (_, selection) = ask(&served, "POST", "/api/v1/dlq/selections", Some(&select));
    assert_eq!(selection["count"], 1_202);
    let mut order = json!({
        "act": "discard", "filter": selection["filter"], "until_id": selection["until_id"], "count": 1_203,
        "digest": selection["digest"],
    });
    let (status, problem) = ask(&served, "POST", "/api/v1/dlq/bulk", Some(&order));
    assert_eq!((status, &problem["count"]), (409, &json!(1_202)));
    order["count"] = json!(1_202);
    let (status, answer) = ask(&served, "POST", "/api/v1/dlq/bulk", Some(&order));
    assert_eq!((status, &answer["done"], &answer["skipped"]), (200, &json!(1_202), &json!(0)));

    let audit = block_on(async {
        let store = database.store().await;
        let select = "SELECT count(*) FROM messagekit.admin_audit";
        sqlx::query(select).fetch_one(store.pool()).await.unwrap().get::<i64, _>(0)
    });
    assert_eq!(audit, 8 + 3, "one row per request, and per 500 failed messages of a selection");
}
