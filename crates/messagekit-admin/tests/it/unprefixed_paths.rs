//! The paths of earlier versions.

use messagekit_admin::Role;
use serde_json::json;

use crate::ask::Console;
use crate::stock::Stores;

#[tokio::test]
async fn failed_messages_have_the_known_shape() {
    let stores = Stores::with(5, 0).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let listed = console.get("/dlq?event_type=orders.order.placed&limit=2&offset=1").await;
        let events = listed["events"].as_array().unwrap();
        let ids: Vec<&str> = events.iter().map(|event| event["id"].as_str().unwrap()).collect();
        assert_eq!(ids, ["4", "3"]);
        assert_eq!(events[0]["error_message"], "order 4 has no customer");
        assert_eq!(events[0]["event_type"], "orders.order.placed");
        assert!(events[0]["failed_at"].is_string());
        assert_eq!(console.get("/dlq?offset=5").await, json!({"events": []}));
        assert_eq!(console.get("/dlq?limit=1000").await["events"].as_array().unwrap().len(), 5);

        let retried = console.ask(Role::Operator, "POST /dlq/4/retry").await;
        assert_eq!((retried.status, retried.json()), (200, json!({"retried": true})));
        console.ask(Role::Operator, "POST /dlq/4/retry").await.is_problem(400);
        console.ask(Role::Operator, "POST /dlq/99/retry").await.is_problem(404);
    }
}

#[tokio::test]
async fn replay_has_the_known_shape() {
    let stores = Stores::with(0, 5).await;
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let nothing = console.get("/replay").await;
        assert_eq!(nothing, json!({"events": [], "message": "from_ts and to_ts are needed"}));
        let all = console.get("/api/v1/replay/events").await["events"].clone();
        let from = all[0]["created_at"].as_str().unwrap().to_owned();
        let range = format!("from_ts={from}&to_ts=9000-01-01T00:00:00Z");
        let events = console.get(&format!("/replay?{range}&limit=2&offset=1")).await;
        assert_eq!(events["events"].as_array().unwrap().len(), 2);
        assert_eq!(events["events"][0]["event_id"], all[1]["event_id"]);

        let counted = console.ask(Role::Operator, &format!("POST /replay?{range}")).await;
        assert_eq!((counted.status, counted.json()), (200, json!({"replayed_count": 5})));
        console.ask(Role::Operator, &format!("POST /replay?{range}&limit=4")).await.is_problem(422);
        let nothing = console.ask(Role::Operator, "POST /replay").await;
        assert_eq!(nothing.json()["replayed_count"], 0);
        assert_eq!(console.get("/api/v1/replay").await["replays"].as_array().unwrap().len(), 1);
    }
    // Earlier versions accepted these values.
    let console = Console::of([("shop", stores.each()[0].clone())]);
    for query in ["limit=-1", "limit=100000000", "offset=-5", "limit=0", "offset=10001"] {
        console.ask(Role::Viewer, &format!("GET /dlq?{query}")).await.is_problem(400);
        console.ask(Role::Viewer, &format!("GET /replay?{query}")).await.is_problem(400);
    }
}
