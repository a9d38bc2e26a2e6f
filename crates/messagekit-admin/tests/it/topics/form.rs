//! The form of a message: of a record that was appended, and of the changes of a table.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::shop::{Shop, TOPIC, about, payload};

#[tokio::test]
async fn a_message_has_the_fields_that_clients_know() {
    let shop = Shop::with(1, 3..4).await;
    let before = Timestamp::now().as_millisecond() - 60_000;
    let answer = shop.consume(json!({"start": "Earliest"})).await;
    let message = answer["messages"][0].as_object().unwrap();
    let fields: Vec<&str> = message.keys().map(String::as_str).collect();
    assert_eq!(
        fields,
        ["event_id", "headers", "key", "offset", "op", "partition_id", "payload", "timestamp_ms", "topic_id"]
    );
    assert_eq!((&message["topic_id"], &message["key"]), (&json!(TOPIC), &json!("c3")));
    assert_eq!((&message["partition_id"], &message["offset"]), (&json!(0), &json!(0)));
    assert_eq!(
        (&message["op"], payload(&answer["messages"][0])),
        (&json!("Insert"), json!({"n": 3, "customer": "c3"}))
    );
    assert!((before..before + 120_000).contains(&message["timestamp_ms"].as_i64().unwrap()));
    assert!(message["headers"].as_object().unwrap().values().all(Value::is_string), "{message:?}");
    // A record of a group says which attempt this is.
    let claimed = shop.consume(json!({"start": "Earliest", "group_id": "g"})).await;
    assert_eq!(claimed["messages"][0]["attempt"], 1);
    assert_eq!(claimed["messages"][0]["event_id"], message["event_id"]);
}

#[tokio::test]
async fn a_changed_row_says_what_happened_and_who_did_it() {
    let shop = Shop::empty().await;
    shop.rows("CREATE TOPIC shop.parcels").await;
    shop.change("CREATE TABLE parcels (id INTEGER PRIMARY KEY, state TEXT)").await;
    shop.rows("ALTER TOPIC shop.parcels ADD SOURCE parcels ON INSERT, UPDATE, DELETE").await;
    shop.change("INSERT INTO parcels VALUES (7, 'packed')").await;
    shop.change(
        "INSERT INTO messagekit_actor (name) VALUES ('ann');
         UPDATE parcels SET state = 'sent';
         DELETE FROM messagekit_actor",
    )
    .await;
    shop.change("DELETE FROM parcels").await;
    let answer = shop.ok("consume", about("shop.parcels", json!({"start": "Earliest"}))).await;
    let seen = |field: &str| -> Vec<Value> {
        let messages = answer["messages"].as_array().unwrap();
        messages.iter().map(|message| message.get(field).cloned().unwrap_or(Value::Null)).collect()
    };
    assert_eq!(seen("op"), ["Insert", "Update", "Delete"]);
    assert_eq!(seen("user"), [Value::Null, json!("ann"), Value::Null]);
    let names = answer["messages"][0].as_object().unwrap();
    assert!(!names.contains_key("user"), "it is left out: {names:?}");
    assert_eq!(seen("event_type")[1], "shop.parcels.updated");
    assert_eq!(payload(&answer["messages"][1])["row"]["state"], "sent", "{answer}");
    assert_eq!(seen("headers")[0]["sourceTable"], "parcels");
    assert_eq!(seen("headers")[1].get("actor"), None, "it is the user");
}
