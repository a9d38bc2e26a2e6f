//! Records that are given back, and leases that are extended.

use messagekit_admin::Role;
use serde_json::{Value, json};

use super::shop::{Shop, TOPIC, about, numbers, of_group};

async fn claim(shop: &Shop, limit: i64) -> Value {
    shop.consume(json!({"group_id": "g", "start": "Earliest", "limit": limit})).await
}

#[tokio::test]
async fn what_is_given_back_comes_again_after_its_delay() {
    let shop = Shop::with(1, 0..4).await;
    let first = claim(&shop, 4).await;
    let id = &first["claim_id"];
    let done = shop.ok("nack", of_group(json!({"claim_id": id, "offsets": [1]}))).await;
    assert_eq!(done, json!({"success": true}));
    shop.ok("nack", of_group(json!({"claim_id": id, "offsets": [2], "delay_seconds": 3_600}))).await;
    let again = claim(&shop, 4).await;
    assert_eq!((numbers(&again), &again["messages"][0]["attempt"]), (vec![1], &json!(2)));
    shop.ok("nack", of_group(json!({ "claim_id": again["claim_id"] }))).await;
    // The first claim still holds what it has not settled.
    let stored = shop.ok("ack", of_group(json!({ "claim_id": id }))).await;
    assert_eq!(stored["acknowledged_offset"], 0);
    shop.refused("nack", of_group(json!({ "claim_id": id })), 409, "CLAIM_LOST").await;
    assert_eq!(numbers(&claim(&shop, 4).await), [1], "the delay of the other is not over");
}

#[tokio::test]
async fn a_record_without_attempts_left_is_a_failed_message() {
    let shop = Shop::with(1, 0..2).await;
    for attempt in 1..=10 {
        let claimed = claim(&shop, 1).await;
        assert_eq!(claimed["messages"][0]["attempt"], attempt);
        let body = json!({"claim_id": claimed["claim_id"], "error": "no stock\u{0} left"});
        shop.ok("nack", of_group(body)).await;
    }
    assert_eq!(numbers(&claim(&shop, 1).await), [1]);
    let list = shop.console.ask(Role::Viewer, "GET /api/v1/dlq?consumer=g&database=shop").await.json();
    let failed = &list["failed_messages"];
    assert_eq!(failed.as_array().unwrap().len(), 1, "{list}");
    assert_eq!((&failed[0]["consumer"], &failed[0]["state"]), (&json!("g"), &json!("dead")));
    assert!(failed.to_string().contains("no stock"), "{failed}");
    assert_eq!(numbers(&shop.consume(json!({"group_id": "h", "start": "Earliest"})).await), [0, 1]);
}

#[tokio::test]
async fn a_dead_record_that_an_operator_retries_comes_again() {
    let shop = Shop::with(1, 0..1).await;
    for _ in 1..=10 {
        let claimed = claim(&shop, 1).await;
        shop.ok("nack", of_group(json!({ "claim_id": claimed["claim_id"] }))).await;
    }
    assert_eq!(numbers(&claim(&shop, 1).await), [0_i64; 0]);
    let states = async || {
        let list = shop.console.ask(Role::Viewer, "GET /api/v1/dlq?consumer=g&database=shop").await.json();
        (list["failed_messages"][0]["id"].clone(), list["failed_messages"][0]["state"].clone())
    };
    let (id, dead) = states().await;
    assert_eq!(dead, "dead");
    let retry = format!("POST /api/v1/dlq/{id}/retry?database=shop");
    let answer = shop.console.ask(Role::Operator, &retry).await;
    assert!(answer.status < 300, "{}: {}", answer.status, answer.text());

    let again = claim(&shop, 1).await;
    assert_eq!((numbers(&again), &again["messages"][0]["attempt"]), (vec![0], &json!(1)));
    let id = &again["claim_id"];
    shop.ok("extend", of_group(json!({ "claim_id": id }))).await;
    shop.ok("nack", of_group(json!({ "claim_id": id, "tried": false }))).await;
    let again = claim(&shop, 1).await;
    assert_eq!(numbers(&again), [0]);
    shop.ok("ack", of_group(json!({ "claim_id": again["claim_id"] }))).await;
    assert_eq!(states().await.1, "resolved");
    assert_eq!(numbers(&claim(&shop, 1).await), [0_i64; 0]);
}

#[tokio::test]
async fn what_was_not_tried_comes_again_without_an_attempt() {
    let shop = Shop::with(1, 0..2).await;
    for _ in 0..20 {
        let claimed = claim(&shop, 2).await;
        assert_eq!((numbers(&claimed), &claimed["messages"][1]["attempt"]), (vec![0, 1], &json!(1)));
        shop.ok("nack", of_group(json!({"claim_id": claimed["claim_id"], "tried": false}))).await;
    }
    let claimed = claim(&shop, 2).await;
    for more in [json!({"delay_seconds": 1}), json!({"error": "no stock"}), json!({"tried": "no"})] {
        let mut body = json!({"claim_id": claimed["claim_id"], "tried": false});
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        shop.refused("nack", of_group(body), 400, "BAD_REQUEST").await;
    }
}

#[tokio::test]
async fn an_error_of_any_length_is_kept_in_part() {
    let shop = Shop::with(1, 0..1).await;
    for _ in 0..10 {
        let claimed = claim(&shop, 1).await;
        let error = "é".repeat(300_000);
        shop.ok("nack", of_group(json!({"claim_id": claimed["claim_id"], "error": error}))).await;
    }
    let list = shop.console.ask(Role::Viewer, "GET /api/v1/dlq?consumer=g").await;
    assert!(list.text().contains("ééé") && list.body.len() < 10_000, "{}", list.body.len());
}

#[tokio::test]
async fn a_claim_is_extended_while_it_holds_something() {
    let shop = Shop::with(1, 0..2).await;
    let claimed = claim(&shop, 2).await;
    let id = &claimed["claim_id"];
    let until = claimed["lease_until_ms"].as_i64().unwrap();
    let longer = shop.ok("extend", of_group(json!({"claim_id": id, "lease_seconds": 600}))).await;
    assert!(longer["lease_until_ms"].as_i64().unwrap() >= until + 500_000, "{longer}");
    let plain = shop.ok("extend", of_group(json!({ "claim_id": id }))).await;
    assert!(plain["lease_until_ms"].as_i64().unwrap() < until + 500_000, "a minute from now: {plain}");
    for lease in [json!(0), json!(86_401), json!(-1), json!("60"), json!(u64::MAX)] {
        shop.refused("extend", of_group(json!({"claim_id": id, "lease_seconds": lease})), 400, "BAD_REQUEST")
            .await;
    }
    shop.ok("ack", of_group(json!({ "claim_id": id }))).await;
    shop.refused("extend", of_group(json!({ "claim_id": id })), 409, "CLAIM_LOST").await;
}

#[tokio::test]
async fn a_delay_has_a_limit() {
    let shop = Shop::with(1, 0..1).await;
    let claimed = claim(&shop, 1).await;
    for delay in [json!(604_801), json!(u64::MAX), json!(-1), json!("1"), json!(0.5)] {
        let body = of_group(json!({"claim_id": claimed["claim_id"], "delay_seconds": delay}));
        shop.refused("nack", body, 400, "BAD_REQUEST").await;
    }
    let body = of_group(json!({"claim_id": claimed["claim_id"], "delay": 5}));
    shop.refused("nack", body, 400, "BAD_REQUEST").await;
    shop.refused("nack", about(TOPIC, json!({"group_id": "g"})), 400, "BAD_REQUEST").await;
    let held = claim(&shop, 1).await;
    assert_eq!(numbers(&held), [0; 0], "nothing was given back");
}
