//! Publishing stored events again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use messagekit::operations::Operations;
use messagekit::{Shutdown, headers};
use messagekit_admin::Role;
use serde_json::{Value, json};

use crate::ask::{Console, DEADLINE};
use crate::stock::{SECRET, Stores};

async fn ended(console: &Console, id: i64) -> Value {
    let looked = async {
        loop {
            let job = console.get(&format!("/api/v1/replay/{id}")).await;
            if job["state"] != "running" {
                return job;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, looked).await.expect("the replay ends")
}

async fn order(console: &Console, body: Value) -> Value {
    let answer = console.tell(Role::Operator, "POST /api/v1/replay", body).await;
    assert_eq!(answer.status, 202, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ordered_goes_out_whole() {
    let stores = Stores::with(0, 1_203).await;
    for store in stores.each() {
        let console = Console::of([("shop", store.clone())]);
        let counted =
            console.tell(Role::Viewer, "POST /api/v1/replay/count", json!({"filter": {"key": "k-7"}})).await;
        assert_eq!(
            counted.json(),
            json!({"database": "shop", "events": 1, "skipped_by": [], "too_old_for": []})
        );
        let job = order(&console, json!({"filter": {"type": "orders.order.placed"}})).await;
        assert_eq!(
            (&job["events"], &job["published"], &job["state"]),
            (&json!(1_203), &json!(0), &json!("running"))
        );
        assert_eq!((&job["ordered_by"], &job["ids"]), (&json!("the-operator"), &json!("same")));
        let shutdown = Shutdown::new();
        let worker = tokio::spawn({
            let (admin, shutdown) = (console.admin.clone(), shutdown.clone());
            async move { admin.run_replays(shutdown).await }
        });
        let job = ended(&console, 1).await;
        assert_eq!((&job["published"], &job["state"]), (&json!(1_203), &json!("done")));
        let list = console.get("/api/v1/replay?limit=1").await;
        assert_eq!((&list["replays"][0]["id"], list.get("next")), (&json!(1), None));
        let copies = console.get("/api/v1/replay/events?key=k-7").await;
        assert_eq!(
            (copies["events"].as_array().unwrap().len(), &copies["events"][0]["copies"]),
            (1, &json!(1))
        );
        console.ask(Role::Operator, "POST /api/v1/replay/1/cancel").await.is_problem(409);
        shutdown.request();
        tokio::time::timeout(DEADLINE, worker).await.unwrap().unwrap();
    }
    assert_eq!(stores.memory.outbox().len(), 2 * 1_203);
}

#[tokio::test]
async fn replay_of_an_outdated_count_is_refused_with_the_new_count() {
    let stores = Stores::with(0, 3).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let refused =
            console.tell(Role::Operator, "POST /api/v1/replay", json!({"filter": {}, "count": 2})).await;
        refused.is_problem(409);
        assert_eq!(refused.json()["count"], 3);
        assert_eq!(console.get("/api/v1/replay").await["replays"], json!([]));
        assert_eq!(order(&console, json!({"filter": {}, "count": 3})).await["events"], 3);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn new_ids_are_new_in_header_and_payload() {
    let stores = Stores::with(0, 3).await;
    let store: Arc<dyn Operations> = Arc::new(stores.memory.clone());
    let console = Console::of([("shop", store)]);
    let originals: BTreeSet<String> = stores
        .memory
        .outbox()
        .iter()
        .map(|message| message.headers.text(headers::ID).unwrap().to_owned())
        .collect();
    order(&console, json!({"filter": {}, "ids": "new"})).await;
    let shutdown = Shutdown::new();
    let worker = tokio::spawn({
        let (admin, shutdown) = (console.admin.clone(), shutdown.clone());
        async move { admin.run_replays(shutdown).await }
    });
    assert_eq!(ended(&console, 1).await["state"], "done");
    let copies = stores.memory.outbox().split_off(3);
    let mut replayed = BTreeSet::new();
    for copy in &copies {
        let payload: Value = serde_json::from_slice(&copy.payload).unwrap();
        let id = copy.headers.text(headers::ID).unwrap();
        assert_eq!((payload["eventId"].as_str(), payload["note"].as_str()), (Some(id), Some(SECRET)));
        assert!(!originals.contains(id));
        replayed.insert(copy.headers.free()["replayOf"].clone());
    }
    assert_eq!((copies.len(), replayed), (3, originals));
    shutdown.request();
    worker.await.unwrap();
}

#[tokio::test]
async fn a_replay_range_before_the_oldest_event_is_refused() {
    let stores = Stores::with(0, 1).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let oldest = console.get("/api/v1/replay/events").await["events"][0]["created_at"]
            .as_str()
            .unwrap()
            .to_owned();
        let filter = json!({"filter": {"from": "2001-01-01T00:00:00Z"}});
        for line in ["POST /api/v1/replay", "POST /api/v1/replay/count"] {
            let answer = console.tell(Role::Operator, line, filter.clone()).await;
            answer.is_problem(422);
            let detail = answer.json()["detail"].to_string();
            assert!(detail.contains(&oldest[..19]), "{detail} names {oldest}");
        }
        assert_eq!(console.get("/api/v1/replay").await["replays"], json!([]));
    }
}

#[tokio::test]
async fn links_lead_through_all_events_once() {
    let stores = Stores::with(0, 7).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let (mut seen, mut next) = (BTreeSet::new(), Some("?limit=3".to_owned()));
        let mut pages = 0;
        while let Some(query) = next {
            let page = console.get(&format!("/api/v1/replay/events{query}")).await;
            for event in page["events"].as_array().unwrap() {
                assert!(seen.insert(event["event_id"].to_string()));
            }
            next = page.get("next").map(|next| next.as_str().unwrap().to_owned());
            pages += 1;
        }
        assert_eq!((seen.len(), pages), (7, 3));
    }
}
