//! Statements over HTTP: the form of answers and errors, scripts, and every kind of statement.

use serde_json::{Value, json};

use super::shop::{Shop, TOPIC};
use crate::ask::Answer;
use crate::stock::SECRET;

fn failed(answer: &Answer, status: u16, code: &str) -> Value {
    assert_eq!(answer.status, status, "{}", answer.text());
    let body = answer.json();
    assert_eq!((&body["status"], &body["error"]["code"]), (&json!("error"), &json!(code)), "{body}");
    assert!(body["error"]["message"].is_string() && body["took"].is_number(), "{body}");
    body
}

#[tokio::test]
async fn an_answer_has_the_form_that_clients_know() {
    let shop = Shop::with(1, 0..2).await;
    let answer = shop.sql("CONSUME FROM shop.orders FROM EARLIEST").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    let body = answer.json();
    assert_eq!(body["status"], "success");
    assert!(body["took"].as_f64().unwrap() >= 0.0 && body.get("error").is_none(), "{body}");
    let result = &body["results"][0];
    let columns: Vec<(&str, &str)> = result["schema"]
        .as_array()
        .unwrap()
        .iter()
        .enumerate()
        .map(|(index, column)| {
            assert_eq!(column["index"], index);
            (column["name"].as_str().unwrap(), column["data_type"].as_str().unwrap())
        })
        .collect();
    assert_eq!(
        columns,
        [
            ("topic_id", "Text"),
            ("partition_id", "Int"),
            ("offset", "BigInt"),
            ("key", "Text"),
            ("payload", "Binary"),
            ("timestamp_ms", "BigInt"),
            ("user_id", "Text"),
            ("op", "Text")
        ]
    );
    assert_eq!(result["row_count"], 2);
    let row = &result["rows"][1];
    assert_eq!((&row[0], &row[2], &row[3]), (&json!(TOPIC), &json!(1), &json!("c1")));
    assert_eq!(
        (&row[4], &row[6], &row[7]),
        (&json!("eyJjdXN0b21lciI6ImMxIiwibiI6MX0="), &Value::Null, &json!("insert"))
    );
}

#[tokio::test]
async fn every_kind_of_statement_is_run() {
    let shop = Shop::empty().await;
    shop.change("CREATE TABLE parcels (id INTEGER PRIMARY KEY, state TEXT)").await;
    for (statement, message, rows) in [
        ("CREATE TOPIC shop.parcels", "topic shop.parcels created", json!([])),
        ("ALTER TOPIC shop.parcels ADD SOURCE parcels ON INSERT", "is a source", json!([])),
        (
            "ALTER TOPIC shop.parcels SET RETENTION WITH (retention_seconds = 60)",
            "retention of topic",
            json!([]),
        ),
        ("ALTER TOPIC shop.parcels CLEAR RETENTION", "for ever", json!([])),
        ("SELECT topic_id, partitions FROM system.topics", "", json!([["shop.parcels", 1]])),
        ("CONSUME FROM shop.parcels GROUP 'g' FROM EARLIEST", "", json!([])),
        ("RESET CONSUMER GROUP 'g' ON shop.parcels TO 0", "", json!([["shop.parcels", "g", 0, 0]])),
        ("ALTER TOPIC shop.parcels DROP SOURCE parcels", "no source", json!([])),
        ("SHOW ROUTES FOR shop.parcels", "", json!([])),
        ("CLEAR TOPIC shop.parcels", "0 records", json!([])),
        ("DROP TOPIC shop.parcels", "dropped", json!([])),
        ("SHOW TOPICS", "", json!([])),
    ] {
        let answer = shop.sql(statement).await;
        assert_eq!(answer.status, 200, "{statement}: {}", answer.text());
        let result = &answer.json()["results"][0];
        assert_eq!(result["rows"], rows, "{statement}");
        let said = result.get("message").and_then(Value::as_str).unwrap_or_default();
        assert!(said.contains(message) && said.is_empty() == message.is_empty(), "{statement}: {said}");
    }
    let acked = Shop::with(1, 0..2).await;
    let script = "CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST; ACK shop.orders GROUP 'g' UPTO OFFSET 1;";
    let answer = acked.sql(script).await.json();
    assert_eq!(answer["results"][1]["rows"], json!([[TOPIC, "g", 0, 1]]), "{answer}");
}

#[tokio::test]
async fn an_error_points_at_the_token() {
    let shop = Shop::with(1, 0..1).await;
    let body = failed(&shop.sql("CONSUME FROM shop.orders\n  LIMT 5").await, 400, "SYNTAX_ERROR");
    let error = &body["error"];
    assert!(error["message"].as_str().unwrap().contains("line 2, column 3"), "{error}");
    assert_eq!(error["details"], "  LIMT 5\n  ^^^^");
    assert_eq!(body["results"], json!([]));
    let known = failed(&shop.sql("CONSUME FROM shop.nothing").await, 404, "NOT_FOUND");
    assert!(known["error"].get("details").is_none(), "{known}");
}

#[tokio::test]
async fn nothing_runs_when_a_later_statement_cannot_be_read() {
    let shop = Shop::empty().await;
    let unread = "CREATE TOPIC shop.a; CREATE TOPIC shop.b; CREATE TOPC shop.c";
    assert_eq!(failed(&shop.sql(unread).await, 400, "SYNTAX_ERROR")["results"], json!([]));
    assert_eq!(shop.rows("SHOW TOPICS").await, json!([]));
    // What fails when it is run ends the script, and what ran before it stays.
    let fails = "CREATE TOPIC shop.a; CREATE TOPIC shop.a; CREATE TOPIC shop.b";
    let body = failed(&shop.sql(fails).await, 409, "CONFLICT");
    assert_eq!(body["results"].as_array().unwrap().len(), 1);
    assert!(body["error"]["message"].as_str().unwrap().contains("IF NOT EXISTS"), "{body}");
    assert_eq!(shop.rows("SELECT topic_id FROM system.topics").await, json!([["shop.a"]]));
}

#[tokio::test]
async fn a_script_has_limits() {
    let shop = Shop::new(1).await;
    for sql in ["", "  ", ";;", "-- nothing"] {
        failed(&shop.sql(sql).await, 400, "BAD_REQUEST");
    }
    let many = |count: usize| "SHOW TOPICS;".repeat(count);
    assert_eq!(shop.sql(&many(100)).await.json()["results"].as_array().unwrap().len(), 100);
    failed(&shop.sql(&many(101)).await, 400, "BAD_REQUEST");
    // A body of nearly 1 MiB is read to its end; a longer one is not.
    let padded = |bytes: usize| format!("SHOW TOPICS{}", " ".repeat(bytes));
    assert_eq!(shop.sql(&padded((1 << 20) - 100)).await.status, 200);
    shop.sql(&padded(1 << 20)).await.is_failure(413, "PAYLOAD_TOO_LARGE");
    for long in [
        format!("SELECT * FROM system.topics WHERE {}", "(".repeat(1_000_000)),
        format!("CONSUME FROM shop.{}", "x".repeat(1_000_000)),
        format!("SHOW TOPICS {}", "'".repeat(1_000_000)),
        format!("SELECT {} FROM system.topics", "a,".repeat(500_000)),
    ] {
        let answer = shop.sql(&long).await;
        failed(&answer, 400, "SYNTAX_ERROR");
        assert!(answer.body.len() < 2_000, "{}", answer.body.len());
    }
}

#[tokio::test]
async fn an_answer_ends_where_it_would_become_too_large() {
    let shop = Shop::new(1).await;
    let text = "x".repeat(800_000);
    for n in 0..14 {
        shop.ok("append", json!({"topic_id": TOPIC, "data": {"n": n, "text": text}})).await;
    }
    let consume = "CONSUME FROM shop.orders GROUP 'g' FROM EARLIEST;";
    let answer = shop.sql(consume).await.json();
    assert_eq!(answer["results"][0]["row_count"], 11, "about 8 MiB; a later statement has the rest");
    assert_eq!(shop.sql(consume).await.json()["results"][0]["row_count"], 3);
    let body =
        failed(&shop.sql(&"CONSUME FROM shop.orders FROM EARLIEST;".repeat(3)).await, 413, "TOO_LARGE");
    assert_eq!(body["results"].as_array().unwrap().len(), 1, "what ran is answered");
}

#[tokio::test]
async fn a_group_of_a_statement_has_a_name() {
    let shop = Shop::with(1, 0..1).await;
    for group in ["", " ", "a\0b", &"g".repeat(300)] {
        for statement in [
            format!("CONSUME FROM shop.orders GROUP '{group}'"),
            format!("ACK shop.orders GROUP '{group}' UPTO OFFSET 0"),
            format!("RESET CONSUMER GROUP '{group}' ON shop.orders TO 0"),
        ] {
            let answer = shop.sql(&statement).await;
            assert_eq!(answer.status, 400, "{statement}: {}", answer.text());
        }
    }
    assert_eq!(shop.rows("SELECT * FROM system.topic_offsets").await, json!([]));
}

#[tokio::test]
async fn errors_hold_no_payload() {
    let shop = Shop::new(1).await;
    shop.ok("append", json!({"topic_id": TOPIC, "data": {"n": 1, "note": SECRET}})).await;
    for statement in [
        "CONSUME FROM shop.orders FROM 5",
        "ACK shop.orders GROUP 'g' UPTO OFFSET 0",
        "RESET CONSUMER GROUP 'g' ON shop.orders TO 9",
        "CREATE TOPIC shop.orders",
        "ALTER TOPIC shop.orders ADD SOURCE nothing",
    ] {
        let answer = shop.sql(statement).await;
        assert!(answer.status < 500 && !answer.text().contains(SECRET), "{}", answer.text());
    }
}
