//! What `ack` finishes, what it answers, and what it refuses.

use messagekit_admin::Role;
use serde_json::{Value, json};

use super::shop::{Shop, TOPIC, numbers, of_group};

async fn claim(shop: &Shop, limit: i64) -> Value {
    shop.consume(json!({"group_id": "g", "start": "Earliest", "limit": limit})).await["claim_id"].clone()
}

async fn stored(shop: &Shop, fields: Value) -> Value {
    let answer = shop.ok("ack", of_group(fields)).await;
    assert_eq!(answer["success"], true);
    answer["acknowledged_offset"].clone()
}

#[tokio::test]
async fn an_ack_answers_the_offset_that_is_stored() {
    let shop = Shop::with(1, 0..20).await;
    let (first, second) = (claim(&shop, 10).await, claim(&shop, 10).await);
    assert_eq!(
        stored(&shop, json!({"upto_offset": 19})).await,
        Value::Null,
        "the first claim is not finished"
    );
    assert_eq!(stored(&shop, json!({"upto_offset": 4})).await, 4);
    assert_eq!(stored(&shop, json!({"upto_offset": 2})).await, 4, "a lower one changes nothing");
    assert_eq!(stored(&shop, json!({"claim_id": first, "offsets": [7, 5]})).await, 5);
    assert_eq!(stored(&shop, json!({"claim_id": first, "upto_offset": 6})).await, 7);
    assert_eq!(stored(&shop, json!({ "claim_id": first })).await, 19, "both are finished");
    shop.refused("ack", of_group(json!({ "claim_id": second })), 409, "CLAIM_LOST").await;
    assert_eq!(shop.rows("SELECT last_acked_offset FROM system.topic_offsets").await, json!([[19]]));
    assert_eq!(numbers(&shop.consume(json!({"group_id": "g"})).await), [0; 0]);
}

#[tokio::test]
async fn an_ack_ahead_of_the_topic_is_out_of_range() {
    let shop = Shop::with(1, 0..3).await;
    claim(&shop, 10).await;
    for offset in [3, 1_000, i64::MAX, -1, i64::MIN] {
        let body = of_group(json!({ "upto_offset": offset }));
        let failure = shop.refused("ack", body, 416, "OFFSET_OUT_OF_RANGE").await;
        let known = (&failure["partition_id"], &failure["earliest"], &failure["next"]);
        assert_eq!(known, (&json!(0), &json!(0), &json!(3)), "{failure}");
    }
    assert_eq!(stored(&shop, json!({"upto_offset": 2})).await, 2);
}

#[tokio::test]
async fn a_claim_finishes_nothing_ahead_of_the_topic() {
    let shop = Shop::with(1, 0..3).await;
    let id = claim(&shop, 10).await;
    for offset in [3, i64::MAX, -1, i64::MIN] {
        for fields in [
            json!({"claim_id": id, "upto_offset": offset}),
            json!({"claim_id": id, "offsets": [offset]}),
            json!({"claim_id": id, "offsets": [0, offset]}),
        ] {
            let failure = shop.refused("ack", of_group(fields), 416, "OFFSET_OUT_OF_RANGE").await;
            assert_eq!((&failure["earliest"], &failure["next"]), (&json!(0), &json!(3)), "{failure}");
        }
    }
    assert_eq!(stored(&shop, json!({ "claim_id": id })).await, 2, "nothing was finished before");
}

#[tokio::test]
async fn what_no_claim_holds_is_a_lost_claim() {
    let shop = Shop::with(1, 0..3).await;
    shop.refused("ack", of_group(json!({"upto_offset": 0})), 409, "CLAIM_LOST").await;
    let id = claim(&shop, 2).await;
    shop.refused("ack", of_group(json!({"upto_offset": 2})), 409, "CLAIM_LOST").await;
    shop.refused("ack", of_group(json!({"claim_id": id, "offsets": [2]})), 409, "CLAIM_LOST").await;
    for unknown in ["zzq", "", "zzq\0", &"z".repeat(500_000)] {
        for route in ["ack", "nack", "extend"] {
            let body = of_group(json!({ "claim_id": unknown }));
            let failure = shop.refused(route, body, 409, "CLAIM_LOST").await;
            assert!(failure.to_string().len() < 1_000, "{route}");
        }
    }
    // A group of another name has no right to it.
    let other = json!({"topic_id": TOPIC, "group_id": "other", "claim_id": id});
    shop.refused("ack", other, 409, "CLAIM_LOST").await;
    assert_eq!(stored(&shop, json!({ "claim_id": id })).await, 1);
}

#[tokio::test]
async fn an_ack_says_what_it_finishes() {
    let shop = Shop::with(1, 0..5).await;
    let id = claim(&shop, 5).await;
    for fields in [
        json!({}),
        json!({"offsets": [1]}),
        json!({"offsets": [1], "upto_offset": 1}),
        json!({"claim_id": id, "offsets": [1], "upto_offset": 1}),
        json!({"claim_id": id, "offsets": []}),
        json!({"claim_id": id, "offsets": vec![1; 1_001]}),
        json!({"claim_id": id, "offsets": "1"}),
        // A name that is written wrongly must not finish everything.
        json!({"claim_id": id, "up_to_offset": 1}),
        json!({"claim_id": id, "uptoOffset": 1}),
    ] {
        shop.refused("ack", of_group(fields), 400, "BAD_REQUEST").await;
    }
    for group in ["", "  ", "a\0b", "a\nb", &"g".repeat(201)] {
        let body = json!({"topic_id": TOPIC, "group_id": group, "upto_offset": 1});
        shop.refused("ack", body, 400, "BAD_REQUEST").await;
    }
    assert_eq!(stored(&shop, json!({ "claim_id": id })).await, 4, "nothing was finished before");
}

#[tokio::test]
async fn an_ack_is_of_one_partition() {
    let shop = Shop::with(2, 0..20).await;
    let claimed = shop.consume(json!({"group_id": "g", "start": "Earliest", "partition_id": 1})).await;
    let id = &claimed["claim_id"];
    shop.refused("ack", of_group(json!({ "claim_id": id })), 409, "CLAIM_LOST").await;
    let last = claimed["next_offset"].as_i64().unwrap() - 1;
    assert_eq!(stored(&shop, json!({"claim_id": id, "partition_id": 1})).await, last);
    shop.refused("ack", of_group(json!({"claim_id": id, "partition_id": 2})), 404, "NOT_FOUND").await;
    shop.refused("ack", of_group(json!({"claim_id": id, "partition_id": -1})), 404, "NOT_FOUND").await;
    let missing = json!({"topic_id": "shop.nothing", "group_id": "g", "upto_offset": 0});
    let answer = shop.post("ack", missing).await;
    assert!([404, 409].contains(&answer.status), "{}", answer.text());
}

#[tokio::test]
async fn metrics_show_how_far_a_group_is_behind() {
    let shop = Shop::with(2, 0..20).await;
    for _ in 0..2 {
        let claimed = shop.consume(json!({"group_id": "g", "start": "Earliest", "limit": 3})).await;
        let (id, partition) = (&claimed["claim_id"], &claimed["messages"][0]["partition_id"]);
        stored(&shop, json!({"claim_id": id, "partition_id": partition})).await;
    }
    shop.consume(json!({"group_id": "g"})).await;
    let answer = shop.console.ask(Role::Viewer, "GET /metrics").await;
    let line = r#"messagekit_records_behind{database="shop",consumer="g",topic="shop.orders"} 14"#;
    let text = answer.text();
    assert!(text.lines().any(|known| known == line), "claimed ones are not settled: {text}");
}
