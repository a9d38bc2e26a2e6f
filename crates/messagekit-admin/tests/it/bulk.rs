//! Actions on many failed messages.

use jiff::Timestamp;
use messagekit::operations::FailedMessageFilter;
use messagekit_admin::Role;
use serde_json::{Value, json};

use crate::ask::Console;
use crate::stock::{Stores, dead};

async fn select(console: &Console, filter: Value) -> Value {
    let answer = console.tell(Role::Operator, "POST /api/v1/dlq/selections", json!({"filter": filter})).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

fn order(act: &str, selection: &Value) -> Value {
    json!({
        "act": act, "filter": selection["filter"], "until_id": selection["until_id"], "count": selection["count"],
        "digest": selection["digest"], "database": selection["database"],
    })
}

#[tokio::test]
async fn a_selection_is_acted_on_and_what_came_later_is_not() {
    let stores = Stores::with(1_203, 0).await;
    for (index, store) in stores.each().into_iter().enumerate() {
        let console = Console::of([("shop", store)]);
        let selection = select(&console, json!({"state": "dead", "consumer": "billing"})).await;
        assert_eq!((&selection["count"], &selection["until_id"]), (&json!(1_203), &json!(1_203)));
        match index {
            0 => dead(&stores.memory, 5_000).await,
            _ => dead(&stores.sqlite, 5_000).await,
        }
        let answer =
            console.tell(Role::Operator, "POST /api/v1/dlq/bulk", order("discard", &selection)).await;
        let expected =
            json!({"database": "shop", "act": "discard", "done": 1_203, "skipped": 0, "complete": true});
        assert_eq!((answer.status, answer.json()), (200, expected));
        let left = console.get("/api/v1/dlq?state=dead").await;
        assert_eq!(left["failed_messages"][0]["key"]["text"], "k-5000");
        assert_eq!(left["failed_messages"].as_array().unwrap().len(), 1);
    }
    // One row per transaction of at most 500 failed messages.
    let sizes: Vec<usize> = stores.memory.audit().iter().map(|entry| entry.ids.len()).collect();
    assert_eq!(sizes, [500, 500, 203]);
}

#[tokio::test]
async fn open_messages_are_discarded_together() {
    let stores = Stores::with(4, 0).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        assert_eq!(console.ask(Role::Operator, "POST /api/v1/dlq/1/retry").await.status, 202);
        assert_eq!(console.ask(Role::Operator, "POST /api/v1/dlq/4/discard").await.status, 202);
        let selection = select(&console, json!({"state": "open"})).await;
        assert_eq!((&selection["count"], &selection["filter"]), (&json!(3), &json!({"state": "open"})));
        let answer =
            console.tell(Role::Operator, "POST /api/v1/dlq/bulk", order("discard", &selection)).await;
        assert_eq!((answer.status, &answer.json()["done"]), (200, &json!(3)), "{}", answer.text());
        let left = console.get("/api/v1/dlq?state=open").await;
        assert_eq!(left["failed_messages"], json!([]));
    }
}

#[tokio::test]
async fn a_selection_that_has_changed_is_left_alone() {
    let stores = Stores::with(3, 0).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let selection = select(&console, json!({"state": "dead"})).await;
        assert_eq!(console.ask(Role::Operator, "POST /api/v1/dlq/2/retry").await.status, 202);
        let answer =
            console.tell(Role::Operator, "POST /api/v1/dlq/bulk", order("discard", &selection)).await;
        answer.is_problem(409);
        assert_eq!(answer.json()["count"], 2);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("3 failed messages then, 2 now: select again"), "{detail}");
        let dead = console.get("/api/v1/dlq?state=dead").await;
        assert_eq!(dead["failed_messages"].as_array().unwrap().len(), 2, "nothing was done");
        // A selection of every state has the same count; the action skips messages that it cannot move.
        let every = select(&console, json!({})).await;
        let answer = console.tell(Role::Operator, "POST /api/v1/dlq/bulk", order("retry", &every)).await;
        assert_eq!((&answer.json()["done"], &answer.json()["skipped"]), (&json!(2), &json!(1)));
        let runners = json!([{"consumer": "billing", "is_running": false, "last_seen_seconds": null}]);
        assert_eq!(
            answer.json()["runners"],
            runners,
            "each consumer once, and no process of it has been seen"
        );
        console.tell(Role::Operator, "POST /api/v1/dlq/bulk", order("undo", &every)).await.is_problem(409);
        let every = select(&console, json!({})).await;
        let answer = console.tell(Role::Operator, "POST /api/v1/dlq/bulk", order("undo", &every)).await;
        assert_eq!((&answer.json()["done"], &answer.json()["skipped"]), (&json!(0), &json!(3)));
    }
}

#[tokio::test]
async fn a_swap_inside_a_selection_is_refused() {
    let stores = Stores::with(4, 0).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        assert_eq!(console.ask(Role::Operator, "POST /api/v1/dlq/2/discard").await.status, 202);
        let selection = select(&console, json!({"state": "dead"})).await;
        assert_eq!((&selection["count"], &selection["until_id"]), (&json!(3), &json!(4)));
        // Another operator retries one of them and brings the discarded one back: as many, under the same greatest id.
        assert_eq!(console.ask(Role::Operator, "POST /api/v1/dlq/3/retry").await.status, 202);
        assert_eq!(console.ask(Role::Operator, "POST /api/v1/dlq/2/undo").await.status, 202);
        let answer =
            console.tell(Role::Operator, "POST /api/v1/dlq/bulk", order("discard", &selection)).await;
        answer.is_problem(409);
        assert_eq!(answer.json()["count"], 3);
        let detail = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains("3 failed messages then, 3 now, and not the same ones"), "{detail}");
        let dead = console.get("/api/v1/dlq?state=dead").await;
        assert_eq!(dead["failed_messages"].as_array().unwrap().len(), 3, "nothing was done");
    }
}

#[tokio::test]
async fn an_empty_selection_does_nothing() {
    let stores = Stores::with(1, 0).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let selection = select(&console, json!({"consumer": "nobody"})).await;
        assert_eq!((&selection["count"], &selection["until_id"]), (&json!(0), &json!(0)));
        let answer =
            console.tell(Role::Operator, "POST /api/v1/dlq/bulk", order("discard", &selection)).await;
        assert_eq!((answer.status, &answer.json()["done"]), (200, &json!(0)));
    }
}

#[tokio::test]
async fn paced_retries_of_a_selection_are_due_one_after_the_other() {
    let stores = Stores::with(1_003, 0).await;
    for store in stores.each() {
        let console = Console::of([("shop", store.clone())]);
        let selection = select(&console, json!({"state": "dead"})).await;
        let mut wrong = order("discard", &selection);
        wrong["per_second"] = json!(10);
        console.tell(Role::Operator, "POST /api/v1/dlq/bulk", wrong).await.is_problem(422);
        let mut request = order("retry", &selection);
        request["per_second"] = json!(10);
        let began = Timestamp::now();
        let answer = console.tell(Role::Operator, "POST /api/v1/dlq/bulk", request).await;
        assert_eq!((answer.status, &answer.json()["done"]), (200, &json!(1_003)));
        let mut due = Vec::new();
        for failed_message in store.list(&FailedMessageFilter::default(), 2_000).await.unwrap() {
            due.push(failed_message.due.expect("a retry is due"));
        }
        due.reverse();
        assert!(due.is_sorted(), "oldest first");
        // Three transactions; time has passed between them.
        for (number, due) in due.iter().enumerate() {
            let after = due.duration_since(began).as_secs_f64() - number as f64 / 10.0;
            assert!((0.0..20.0).contains(&after), "{number} is {after} s late");
        }
    }
}
