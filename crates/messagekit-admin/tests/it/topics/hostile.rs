//! Bodies that no regular client sends: each is refused in the form of these routes, and nothing of it is repeated.

use axum::body::Body;
use axum::http::{Request, header};
use messagekit_admin::Role;
use messagekit_topics::operations::TopicOperations;
use serde_json::{Value, json};

use super::shop::{Shop, TOPIC, numbers};
use crate::ask::Answer;

/// Part of every hostile value, to detect an echo.
const MARK: &str = "zzq";

const ROUTES: [&str; 7] = [
    "topics/consume",
    "topics/append",
    "topics/latest-offsets",
    "topics/ack",
    "topics/nack",
    "topics/extend",
    "sql",
];

async fn send(shop: &Shop, route: &str, body: impl Into<Body>) -> Answer {
    let request = Request::post(format!("/v1/api/{route}"))
        .header(header::AUTHORIZATION, shop.console.bearer(Role::Admin))
        .header(header::CONTENT_TYPE, "application/json");
    shop.console.send(request.body(body.into()).unwrap()).await
}

fn refused(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what} answers {}: {}", answer.status, answer.text());
    let body = answer.json();
    let failure = if body["error"].is_object() { &body["error"] } else { &body };
    assert!(failure["code"].is_string(), "{what}: {body}");
    assert!(!answer.text().contains(MARK), "{what} is repeated: {body}");
    assert!(answer.body.len() < 2_000, "{what} is answered by {} bytes", answer.body.len());
}

#[tokio::test]
async fn a_body_that_is_no_object_is_refused() {
    let shop = Shop::with(1, 0..3).await;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    let bodies: Vec<Vec<u8>> = [
        "",
        " ",
        "{",
        "null",
        "true",
        "1",
        "\"zzq\"",
        "[]",
        "[\"shop.orders\",\"g\",\"Earliest\"]",
        "[{\"topic_id\":\"shop.orders\"}]",
        "{}",
        "NaN",
        "{'topic_id':'shop.orders'}",
        "{\"topic_id\":\"shop.orders\"} zzq",
        "{\"topic_id\":\"shop.orders\",}",
        "\u{feff}{\"topic_id\":\"shop.orders\"}",
        "{\"topic_id\":\"\\ud800\"}",
        "{\"topic_id\":\"\\ud800zzq\\ud800\"}",
        "{\"topic_id\":1e999}",
        "{\"topic_id\":\"shop.orders\",\"zzq\":1}",
        "{\"topic_id\":null}",
        "{\"topic_id\":{\"zzq\":1}}",
        "{\"topic_id\":[\"shop.orders\"]}",
        "{\"topic_id\":7}",
        "{\"topic_id\":\"shop.nothing\"}",
        "{\"topic_id\":\"zzq\\u0000\",\"group_id\":\"zzq\\u0000\"}",
        &deep("[", "]"),
        &deep("{\"topic_id\":", "}"),
        &format!("{{\"zzq\":{}1{}}}", "[".repeat(100), "]".repeat(100)),
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .chain([b"{\"topic_id\":\"\xff\"}".to_vec(), vec![0; 100], vec![b' '; 1 << 20]])
    .collect();
    for route in ROUTES {
        for body in &bodies {
            let seen: String = String::from_utf8_lossy(body).chars().take(60).collect();
            refused(&send(&shop, route, body.clone()).await, &format!("{route} {seen}"));
        }
    }
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [0, 1, 2], "nothing was done");
    assert_eq!(shop.rows("SELECT * FROM system.topic_offsets").await, json!([]));
}

/// What each route takes, and the fields of it that are numbers.
fn good() -> [(&'static str, Value, &'static [&'static str]); 5] {
    let group = json!({"topic_id": TOPIC, "group_id": "g", "claim_id": "none"});
    [
        (
            "topics/consume",
            json!({"topic_id": TOPIC, "group_id": "g", "start": "Earliest"}),
            &["limit", "partition_id", "timeout_seconds", "lease_seconds"],
        ),
        ("topics/append", json!({"topic_id": TOPIC, "data": {"n": 9}}), &[]),
        ("topics/ack", group.clone(), &["partition_id", "upto_offset"]),
        ("topics/nack", group.clone(), &["partition_id", "upto_offset", "delay_seconds"]),
        ("topics/extend", group, &["partition_id", "lease_seconds"]),
    ]
}

#[tokio::test]
async fn a_field_of_another_type_is_refused() {
    let shop = Shop::with(1, 0..3).await;
    let wrong = [
        json!("zzq"),
        json!(""),
        json!([]),
        json!(["zzq"]),
        json!({}),
        json!({"zzq": 1}),
        json!(1.5),
        json!(1e300),
        json!(-1e300),
        json!(u64::MAX),
    ];
    for (route, body, fields) in good() {
        for field in fields {
            for value in wrong.iter().chain(&[json!(true)]) {
                // The greatest numbers are capped here.
                if ["timeout_seconds"].contains(field) && value.is_u64() {
                    continue;
                }
                let mut body = body.clone();
                body[*field] = value.clone();
                refused(&send(&shop, route, body.to_string()).await, &format!("{route} {body}"));
            }
        }
        for field in ["topic_id", "group_id", "claim_id"] {
            let not_texts = [json!(1), json!(true), json!(["zzq"]), json!({"zzq": 1})];
            for value in not_texts {
                let mut body = body.clone();
                body[field] = value;
                refused(&send(&shop, route, body.to_string()).await, &format!("{route} {body}"));
            }
        }
    }
    assert_eq!(shop.rows("SELECT * FROM system.topic_offsets").await, json!([]), "nothing was claimed");
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [0, 1, 2]);
}

#[tokio::test]
async fn strange_texts_are_names_that_are_not_there() {
    let shop = Shop::with(1, 0..1).await;
    let long = MARK.repeat(100_000);
    for text in
        ["zzq\0", "zzq\r\nx: y", "'; DROP TABLE messagekit_topic_records;--zzq", "%zzq", "\u{202e}zzq", &long]
    {
        for (route, mut body, _) in good() {
            body["topic_id"] = json!(text);
            let answer = send(&shop, route, body.to_string()).await;
            refused(&answer, &format!("{route} {}", text.chars().take(30).collect::<String>()));
            assert_eq!(answer.status, 404, "{route}: {}", answer.text());
        }
        let group = json!({"topic_id": TOPIC, "group_id": text, "claim_id": text, "upto_offset": 0});
        refused(&send(&shop, "topics/ack", group.to_string()).await, "a group");
        let sql = json!({"sql": format!("CONSUME FROM shop.orders GROUP '{}'", text.replace('\'', "''"))});
        let answer = send(&shop, "sql", sql.to_string()).await;
        assert!(answer.status < 500 && answer.body.len() < 2_000, "{}", answer.text());
    }
    assert_eq!(numbers(&shop.consume(json!({"start": "Earliest"})).await), [0]);
}

#[tokio::test]
async fn a_record_may_hold_any_json() {
    let shop = Shop::new(1).await;
    let deep = serde_json::from_str::<Value>(&format!("{}1{}", "[".repeat(100), "]".repeat(100))).unwrap();
    for (n, strange) in [
        json!("a\0b"),
        json!("\u{202e}\u{feff}\u{10ffff}"),
        json!({"": {"\0": null}}),
        json!(u64::MAX),
        json!(i64::MIN),
        json!(1e308),
        json!(-0.0),
        deep,
    ]
    .into_iter()
    .enumerate()
    {
        let record = json!({"n": n, "customer": strange, "x": strange});
        shop.ok("append", json!({"topic_id": TOPIC, "data": record})).await;
    }
    let found = shop.consume(json!({"start": "Earliest", "group_id": "g"})).await;
    assert_eq!(numbers(&found), (0..8).collect::<Vec<_>>());
    assert_eq!(super::shop::payload(&found["messages"][0])["x"], "a\0b");
    assert_eq!(found["messages"][0]["key"], "a\0b");
}

#[tokio::test]
async fn a_key_twice_and_a_byte_order_mark_are_refused() {
    let shop = Shop::new(1).await;
    let record = |data: &str| format!(r#"{{"topic_id":"{TOPIC}","data":{data}}}"#);
    let answer = send(&shop, "topics/append", record(r#"{"n":1,"a":1,"a":2}"#)).await;
    answer.is_failure(422, "INVALID_RECORD");
    assert!(answer.text().contains("key twice") && answer.text().contains("byte 13"), "{}", answer.text());
    let answer = send(&shop, "topics/append", format!("\u{feff}{}", record(r#"{"n":1}"#))).await;
    answer.is_failure(400, "BAD_REQUEST");
    assert!(answer.text().contains("byte order mark"), "{}", answer.text());
    assert_eq!(shop.topics.bounds(TOPIC).await.unwrap()[0].end, 0, "nothing was appended");
}
