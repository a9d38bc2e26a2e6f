//! Readers and groups whose records were deleted.

use messagekit_topics::operations::TopicOperations;
use serde_json::{Value, json};

use super::shop::{Shop, TOPIC, about, numbers, of_group};

/// Deletes the first five of ten records.
async fn overtaken() -> Shop {
    let shop = Shop::with(1, 0..5).await;
    for group in ["earliest", "latest", "fail", "acks"] {
        let claimed = shop.consume(json!({"group_id": group, "start": "Earliest", "limit": 2})).await;
        assert_eq!(numbers(&claimed), [0, 1]);
        // One is handled, and the claim is lost by the deletion.
        let body = json!({"topic_id": TOPIC, "group_id": group, "upto_offset": 0});
        assert_eq!(shop.ok("ack", body).await["acknowledged_offset"], 0);
    }
    shop.topics.clear_topic(TOPIC).await.unwrap();
    shop.fill(5..10).await;
    shop
}

fn is_out_of_range(failure: &Value) {
    let known = (&failure["partition_id"], &failure["earliest"], &failure["next"]);
    assert_eq!(known, (&json!(0), &json!(5), &json!(10)), "{failure}");
}

#[tokio::test]
async fn a_deleted_offset_says_what_there_is() {
    let shop = overtaken().await;
    for offset in 0..5 {
        for group in [Value::Null, json!("new")] {
            let body = about(TOPIC, json!({"group_id": group, "start": {"Offset": offset}}));
            is_out_of_range(&shop.refused("consume", body, 416, "OFFSET_OUT_OF_RANGE").await);
        }
    }
    assert_eq!(numbers(&shop.consume(json!({"start": {"Offset": 5}})).await), [5, 6, 7, 8, 9]);
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [5, 6, 7, 8, 9]);
    // A group cannot begin where nothing will ever be read in order; a reader may wait there.
    let ahead = about(TOPIC, json!({"group_id": "new", "start": {"Offset": 11}}));
    is_out_of_range(&shop.refused("consume", ahead, 416, "OFFSET_OUT_OF_RANGE").await);
    assert_eq!(shop.consume(json!({"start": {"Offset": i64::MAX}})).await["next_offset"], i64::MAX);
}

#[tokio::test]
async fn a_group_goes_on_at_the_earliest_record_by_default() {
    let shop = overtaken().await;
    let answer = shop.consume(json!({"group_id": "earliest"})).await;
    assert_eq!(numbers(&answer), [5, 6, 7, 8, 9]);
    assert_eq!(answer["deleted"], json!([{"partition_id": 0, "from": 1, "to": 5}]));
    let next = shop.consume(json!({"group_id": "earliest"})).await;
    assert_eq!((numbers(&next).len(), next.get("deleted")), (0, None), "it is told once");
}

#[tokio::test]
async fn a_group_goes_on_at_the_end_if_it_asks_for_it() {
    let shop = overtaken().await;
    let answer = shop.consume(json!({"group_id": "latest", "on_deleted": "latest"})).await;
    assert_eq!(numbers(&answer), [0; 0]);
    assert_eq!(answer["deleted"], json!([{"partition_id": 0, "from": 1, "to": 10}]));
    shop.fill(10..11).await;
    assert_eq!(numbers(&shop.consume(json!({"group_id": "latest"})).await), [10]);
}

#[tokio::test]
async fn a_group_stands_until_it_is_reset_if_it_asks_for_it() {
    let shop = overtaken().await;
    let fails = about(TOPIC, json!({"group_id": "fail", "on_deleted": "fail"}));
    for _ in 0..2 {
        is_out_of_range(&shop.refused("consume", fails.clone(), 416, "OFFSET_OUT_OF_RANGE").await);
    }
    assert_eq!(shop.rows("RESET CONSUMER GROUP 'fail' ON shop.orders TO EARLIEST").await[0][3], 5);
    assert_eq!(numbers(&shop.ok("consume", fails).await), [5, 6, 7, 8, 9]);
    for word in [json!("zzq"), json!(""), json!(5), json!(["fail"])] {
        let body = about(TOPIC, json!({"group_id": "fail", "on_deleted": word}));
        let failure = shop.refused("consume", body, 400, "BAD_REQUEST").await;
        assert!(!failure.to_string().contains("zzq"), "{failure}");
    }
}

#[tokio::test]
async fn an_ack_of_deleted_records_is_never_a_fault_of_the_server() {
    let shop = overtaken().await;
    let body = json!({"topic_id": TOPIC, "group_id": "acks", "upto_offset": 1});
    let answer = shop.post("ack", body).await;
    assert!([200, 409, 416].contains(&answer.status), "{}", answer.text());
    shop.consume(json!({"group_id": "g", "start": "Earliest"})).await;
    shop.topics.clear_topic(TOPIC).await.unwrap();
    let answer = shop.post("ack", of_group(json!({"upto_offset": 7}))).await;
    assert!([200, 409, 416].contains(&answer.status), "{}", answer.text());
}
