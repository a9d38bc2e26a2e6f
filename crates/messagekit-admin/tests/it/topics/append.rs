//! Records that are appended over HTTP.

use messagekit_admin::Role;
use messagekit_topics::operations::TopicOperations;
use serde_json::{Value, json};

use super::shop::{Shop, TOPIC, about, numbers, order};
use crate::stock::SECRET;

#[tokio::test]
async fn a_record_has_an_id_and_a_duplicate_names_it() {
    let shop = Shop::new(1).await;
    let first = shop.ok("append", about(TOPIC, json!({"data": order(1)}))).await;
    assert_eq!(first, json!({"success": true, "id": 1, "duplicate": false}));
    let failure = shop.refused("append", about(TOPIC, json!({"data": order(1)})), 409, "DUPLICATE").await;
    assert_eq!(failure["existing_id"], 1);
    let again = shop.ok("append", about(TOPIC, json!({"data": order(1), "if_new": true}))).await;
    assert_eq!(again, json!({"success": true, "id": 1, "duplicate": true}));
    let new = shop.ok("append", about(TOPIC, json!({"data": order(2), "if_new": true}))).await;
    assert_eq!(new["duplicate"], false);
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [1, 2]);
}

#[tokio::test]
async fn several_records_are_appended_together_or_not_at_all() {
    let shop = Shop::with(1, 0..2).await;
    let several = |numbers: &[i64]| {
        about(TOPIC, json!({"records": numbers.iter().map(|n| order(*n)).collect::<Vec<_>>()}))
    };
    let failure = shop.refused("append", several(&[7, 8, 1]), 409, "DUPLICATE").await;
    assert_eq!(failure["existing_id"], 2);
    let within = shop.refused("append", several(&[7, 7]), 409, "DUPLICATE").await;
    assert!(within["error"].is_string());
    let skips = shop
        .ok("append", about(TOPIC, json!({"records": [order(7), order(1), order(7)], "if_new": true})))
        .await;
    let records = skips["records"].as_array().unwrap();
    let duplicates: Vec<&Value> = records.iter().map(|record| &record["duplicate"]).collect();
    assert_eq!(duplicates, [&json!(false), &json!(true), &json!(true)]);
    assert_eq!((&records[1]["id"], &records[2]["id"]), (&json!(2), &records[0]["id"]));
    assert!(skips.get("id").is_none() && skips.get("duplicate").is_none(), "{skips}");
    assert_eq!(shop.ok("append", several(&[8, 9])).await["records"].as_array().unwrap().len(), 2);
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [0, 1, 7, 8, 9]);
}

/// As a float, the second one would be the first one: a duplicate that is none.
#[tokio::test]
async fn an_integer_beyond_64_bits_is_refused_and_not_rounded() {
    let shop = Shop::new(1).await;
    for number in ["12345678901234567890123", "12345678901234567890124", "-9223372036854775809"] {
        let body = format!(r#"{{"topic_id": "{TOPIC}", "data": {{"n": {number}}}, "if_new": true}}"#);
        let request = shop.console.request(Role::Service, "POST /v1/api/topics/append", Some(&json!({})));
        let answer = shop.console.send(request.map(|_| body.into())).await;
        answer.is_failure(400, "BAD_REQUEST");
        assert!(answer.text().contains("write it as a string"), "{}", answer.text());
    }
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [0; 0]);
}

#[tokio::test]
async fn a_record_that_does_not_fit_its_schema_is_invalid() {
    let shop = Shop::empty().await;
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
        "required": ["name"]
    });
    shop.topics.described("shop.people", schema).open().await.unwrap();
    let fits = json!({"name": "ann", "age": 7});
    for wrong in [json!({}), json!({"name": 5}), json!({"name": "ann", "age": SECRET})] {
        for body in [json!({ "data": wrong }), json!({"records": [fits, wrong]})] {
            let failure = shop.refused("append", about("shop.people", body), 422, "INVALID_RECORD").await;
            let text = failure["error"].as_str().unwrap();
            assert!(text.contains("schema") && text.contains("rule"), "{text}");
            assert!(!text.contains(SECRET), "{text}");
        }
    }
    assert_eq!(shop.topics.bounds("shop.people").await.unwrap()[0].end, 0, "nothing was appended");
    shop.ok("append", about("shop.people", json!({ "data": fits }))).await;
}

#[tokio::test]
async fn a_record_is_an_object_of_limited_size() {
    let shop = Shop::new(1).await;
    for data in [json!(1), json!("zzq"), json!([1]), json!(true)] {
        shop.refused("append", about(TOPIC, json!({ "data": data })), 422, "INVALID_RECORD").await;
        shop.refused("append", about(TOPIC, json!({"records": [order(1), data]})), 422, "INVALID_RECORD")
            .await;
    }
    let large = json!({"n": 1, "customer": "c", "text": "x".repeat(900_000)});
    shop.refused("append", about(TOPIC, json!({ "data": large })), 413, "TOO_LARGE").await;
    shop.refused("append", about(TOPIC, json!({"records": [order(5), large]})), 413, "TOO_LARGE").await;
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [0; 0]);
    let text = "x".repeat(899_000);
    shop.ok("append", about(TOPIC, json!({"data": {"n": 1, "text": text}}))).await;
}

#[tokio::test]
async fn an_append_is_of_one_form_and_makes_no_topic() {
    let shop = Shop::new(1).await;
    for fields in [
        json!({}),
        json!({"data": null}),
        json!({"data": order(1), "records": [order(2)]}),
        json!({"records": order(1)}),
        json!({"records": vec![json!({}); 1_001]}),
        json!({"data": order(1), "ifNew": true}),
        json!({"data": order(1), "if_new": "yes"}),
    ] {
        shop.refused("append", about(TOPIC, fields), 400, "BAD_REQUEST").await;
    }
    for topic in ["shop.nothing", "zzq'", "zzq\0"] {
        for body in [json!({"data": order(1)}), json!({"records": []})] {
            shop.refused("append", about(topic, body), 404, "NOT_FOUND").await;
        }
    }
    assert_eq!(shop.ok("append", about(TOPIC, json!({"records": []}))).await["records"], json!([]));
    assert_eq!(shop.topics.definitions().await.unwrap().len(), 1);
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [0; 0]);
}
