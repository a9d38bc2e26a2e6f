//! One failed message: shown, acted on, shown again.

use std::sync::Arc;

use jiff::Timestamp;
use messagekit::adapter::{FailedMessageRows, Failure, FailureKind, ReceivedMessage};
use messagekit::{Message, Store};
use messagekit_admin::Role;
use messagekit_memory::MemoryStore;
use serde_json::{Value, json};

use crate::ask::Console;
use crate::stock::{SECRET, Stores, dead, retrying};

#[tokio::test]
async fn filters_choose_and_combine() {
    let stores = Stores::with(3, 0).await;
    retrying(&stores.memory, 9).await;
    retrying(&stores.sqlite, 9).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        for (query, keys) in [
            ("", vec!["k-9", "k-3", "k-2", "k-1"]),
            ("?state=dead", vec!["k-3", "k-2", "k-1"]),
            ("?state=open", vec!["k-9", "k-3", "k-2", "k-1"]),
            ("?consumer=stock", vec!["k-9"]),
            ("?consumer=stock&state=dead", vec![]),
            ("?type=orders.order.placed&kind=failed", vec!["k-9"]),
            ("?origin=queue", vec![]),
            ("?key=k-2", vec!["k-2"]),
            ("?key=k%2D2&database=shop", vec!["k-2"]),
            ("?until=2020-01-01T00:00:00Z", vec![]),
            ("?since=2020-01-01T00:00:00%2B02:00&limit=1", vec!["k-9"]),
        ] {
            let page = console.get(&format!("/api/v1/dlq{query}")).await;
            let found: Vec<&str> = page["failed_messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(|failed_message| failed_message["key"]["text"].as_str().unwrap())
                .collect();
            assert_eq!(found, keys, "{query}");
        }
        let totals = console.get("/api/v1/dlq/totals").await;
        let expected = json!([
            {"database": "shop", "consumer": "billing", "state": "dead", "failed_messages": 3},
            {"database": "shop", "consumer": "stock", "state": "retry_scheduled", "failed_messages": 1},
        ]);
        assert_eq!(totals["totals"], expected);
        let groups = console.get("/api/v1/dlq/groups?consumer=billing").await;
        assert_eq!(
            (groups["groups"].as_array().unwrap().len(), &groups["groups"][0]["failed_messages"]),
            (1, &json!(3))
        );
        let print = groups["groups"][0]["fingerprint"].as_str().unwrap();
        let page = console.get(&format!("/api/v1/dlq?fingerprint={print}")).await;
        assert_eq!(page["failed_messages"].as_array().unwrap().len(), 3);
    }
}

#[tokio::test]
async fn payload_and_header_values_are_for_readers() {
    let stores = Stores::with(1, 1).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let seen = console.ask(Role::Viewer, "GET /api/v1/dlq/1").await;
        let shown = seen.json();
        assert_eq!(shown["headers"], json!([{"name": "eventType"}, {"name": "tenant"}]));
        assert!(shown.get("payload").is_none() && !seen.text().contains(SECRET), "{shown}");

        let shown = console.ask(Role::Reader, "GET /api/v1/dlq/1").await.json();
        assert_eq!(shown["headers"][1]["value"]["text"], format!("{SECRET}-header"));
        let payload = format!(r#"{{"eventId":"m-1","note":"{SECRET}"}}"#);
        assert_eq!(shown["payload"], json!({"preview": {"text": payload}, "truncated": false}));

        let file = console.ask(Role::Reader, "GET /api/v1/dlq/1/payload").await;
        assert_eq!((file.text(), file.status), (payload, 200));
        assert_eq!(file.header("content-disposition"), "attachment; filename=\"failed-message-1.bin\"");
        assert_eq!(file.header("content-type"), "application/octet-stream");
    }
}

#[tokio::test]
async fn an_act_moves_the_failed_message_and_is_written_down() {
    let stores = Stores::with(2, 0).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let act = async |line: &str| console.ask(Role::Operator, line).await;
        let answer = act("POST /api/v1/dlq/1/discard").await;
        let expected = json!({"database": "shop", "id": 1, "act": "discard", "state": "discarded"});
        assert_eq!((answer.status, answer.json()), (202, expected));
        act("POST /api/v1/dlq/1/discard").await.is_problem(409);
        act("POST /api/v1/dlq/1/retry").await.is_problem(409);
        assert_eq!(act("POST /api/v1/dlq/1/undo").await.json()["state"], "dead");
        let retried = act("POST /api/v1/dlq/1/retry").await;
        assert_eq!((retried.status, &retried.json()["state"]), (202, &json!("retry_requested")));
        let runner = json!({"consumer": "billing", "is_running": false, "last_seen_seconds": null});
        assert_eq!(retried.json()["runner"], runner, "no process of it has been seen");
        assert_eq!(console.get("/api/v1/dlq/1").await["failed_message"]["state"], "retry_requested");
        let page = console.get("/api/v1/dlq").await;
        let reason = |index: usize| page["failed_messages"][index]["reason"].as_str();
        assert_eq!((reason(0), reason(1)), (Some("set_aside"), Some("retry_requested")));
        for line in
            ["POST /api/v1/dlq/77/retry", "GET /api/v1/dlq/77", "POST /api/v1/dlq/9223372036854775807/undo"]
        {
            act(line).await.is_problem(404);
        }
    }
    let written: Vec<(String, u64)> =
        stores.memory.audit().into_iter().map(|entry| (entry.action, entry.done)).collect();
    let expected =
        [("discard", 1), ("discard", 0), ("retry", 0), ("undo", 1), ("retry", 1), ("retry", 0), ("undo", 0)];
    assert_eq!(written, expected.map(|(action, done)| (action.to_owned(), done)));
}

#[tokio::test]
async fn audit_names_the_token_and_the_request() {
    let store = MemoryStore::new();
    dead(&store, 1).await;
    let console = Console::of([("shop", Arc::new(store.clone()) as _)]);
    let mut request = console.request(Role::Operator, "POST /api/v1/dlq/1/retry", None);
    request.headers_mut().insert("x-request-id", "ticket-12".parse().unwrap());
    assert_eq!(console.send(request).await.header("x-request-id"), "ticket-12");
    let forged = "x y\u{e9}";
    let mut request = console.request(Role::Admin, "POST /api/v1/dlq/1/retry", None);
    request.headers_mut().insert("x-request-id", forged.parse().unwrap());
    let own = console.send(request).await.header("x-request-id").to_owned();
    let audit = store.audit();
    let told = |index: usize| {
        let entry: &messagekit_memory::AuditEntry = &audit[index];
        (entry.by.clone(), entry.through.clone(), entry.request_id.clone().unwrap())
    };
    assert_eq!(told(0), ("the-operator".to_owned(), "http".to_owned(), "ticket-12".to_owned()));
    assert_eq!(told(1), ("the-admin".to_owned(), "http".to_owned(), own.clone()));
    assert!(!own.is_empty() && !own.contains(' '));
}

#[tokio::test]
async fn bytes_that_are_no_text_are_shown_as_base64_and_cut_at_64_kib() {
    let store = MemoryStore::new();
    let payload = vec![0xff; 100_000];
    let message = Message::new("t", payload.clone()).with_key(b"\xff\0".to_vec());
    let received = ReceivedMessage { id: "m-1".parse().unwrap(), message, position: None };
    let mut tx = store.begin().await.unwrap();
    let failure = Failure::permanent(FailureKind::Permanent, "no");
    store.set_aside(&mut tx, "billing", &received, &failure).await.unwrap();
    store.commit(tx).await.unwrap();
    let console = Console::of([("shop", Arc::new(store) as _)]);
    let shown: Value = console.ask(Role::Reader, "GET /api/v1/dlq/1").await.json();
    assert_eq!(shown["failed_message"]["key"]["base64"], "/wA=");
    assert_eq!(shown["failed_message"]["payload_bytes"], 100_000);
    assert_eq!(shown["payload"]["truncated"], true);
    assert_eq!(
        shown["payload"]["preview"]["base64"].as_str().unwrap().len(),
        (64 * 1024_usize).div_ceil(3) * 4
    );
    assert_eq!(console.ask(Role::Reader, "GET /api/v1/dlq/1/payload").await.body, payload);
    assert_eq!(console.get("/api/v1/dlq?key=%FF%00").await["failed_messages"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn one_failed_message_has_its_failed_runs() {
    let stores = Stores::with(0, 0).await;
    retrying(&stores.memory, 9).await;
    retrying(&stores.sqlite, 9).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let listed = console.get("/api/v1/dlq").await["failed_messages"][0].clone();
        assert!(listed.get("failed_runs").is_none(), "lists stay short");
        let shown = console.ask(Role::Viewer, &format!("GET /api/v1/dlq/{}", listed["id"])).await.json();
        let at = shown["failed_runs"][0]["at"].clone();
        assert!(at.as_str().unwrap().parse::<Timestamp>().is_ok(), "{at}");
        let here = messagekit::adapter::instance();
        let expected = json!([{"at": at, "attempt": 1, "error": "no answer", "instance": here}]);
        assert_eq!(shown["failed_runs"], expected);
    }
}

#[tokio::test]
async fn a_scheduled_run_is_retried_before_its_time() {
    let stores = Stores::with(0, 0).await;
    retrying(&stores.memory, 9).await;
    retrying(&stores.sqlite, 9).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let listed =
            async || console.get("/api/v1/dlq?state=retry_scheduled").await["failed_messages"][0].clone();
        let due = |one: &serde_json::Value| one["due"].as_str().unwrap().parse::<Timestamp>().unwrap();
        let before = listed().await;
        assert!(due(&before) > Timestamp::now(), "{before}");
        let id = before["id"].as_i64().unwrap();
        let retry = async || console.ask(Role::Operator, &format!("POST /api/v1/dlq/{id}/retry")).await;
        let answer = retry().await;
        let runner = json!({"consumer": "stock", "is_running": false, "last_seen_seconds": null});
        let expected = json!({"database": "shop", "id": id, "act": "retry", "state": "retry_scheduled", "runner": runner});
        assert_eq!((answer.status, answer.json()), (202, expected));
        let after = listed().await;
        assert!(due(&after) <= Timestamp::now(), "{after}");
        assert_eq!((&after["attempts"], &after["reason"]), (&before["attempts"], &before["reason"]));
        let again = retry().await;
        assert!(again.text().contains("is retry_scheduled, and due or running already"), "{}", again.text());
        again.is_problem(409);
    }
}
