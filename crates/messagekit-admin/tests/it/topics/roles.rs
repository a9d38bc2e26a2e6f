//! Who may do what with topics, and in which form the others are refused.

use axum::body::Body;
use axum::http::{Request, header};
use messagekit_admin::Role;
use serde_json::{Value, json};

use super::shop::{Shop, TOPIC, order};
use crate::ask::Answer;

/// Every route with a body that it takes.
fn routes() -> [(&'static str, Value); 7] {
    let group = json!({"topic_id": TOPIC, "group_id": "g", "claim_id": "none"});
    [
        ("topics/consume", json!({ "topic_id": TOPIC })),
        ("topics/append", json!({"topic_id": TOPIC, "data": order(1), "if_new": true})),
        ("topics/latest-offsets", json!({"partitions": []})),
        ("topics/ack", group.clone()),
        ("topics/nack", group.clone()),
        ("topics/extend", group),
        ("sql", json!({"sql": "CONSUME FROM shop.orders"})),
    ]
}

#[tokio::test]
async fn services_and_administrators_use_topics_and_no_other_role() {
    let shop = Shop::with(1, 0..1).await;
    for (route, body) in routes() {
        for role in Role::ALL {
            let answer = shop.console.tell(role, &format!("POST /v1/api/{route}"), body.clone()).await;
            if !matches!(role, Role::Service | Role::Admin) {
                answer.is_failure(403, "FORBIDDEN");
            } else if body.get("claim_id").is_some() {
                answer.is_failure(409, "CLAIM_LOST");
            } else {
                assert_eq!(answer.status, 200, "{role} {route}: {}", answer.text());
            }
        }
    }
}

#[tokio::test]
async fn a_service_sees_nothing_else() {
    let shop = Shop::with(1, 0..1).await;
    let document = shop.console.get("/openapi.json").await;
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            if !path.starts_with("/v1/api/") {
                let line = format!("{} {}", method.to_uppercase(), path.replace("{id}", "1"));
                shop.console.ask(Role::Service, &line).await.is_problem(403);
            }
        }
    }
}

fn refused(answer: &Answer, status: u16, code: &str, is_of_topics: bool) {
    if is_of_topics { answer.is_failure(status, code) } else { answer.is_problem(status) }
}

#[tokio::test]
async fn every_refusal_has_the_form_of_its_path() {
    let shop = Shop::with(1, 0..1).await;
    let bearer = shop.console.bearer(Role::Admin);
    let of_topics = ["/v1/api/topics/consume", "/v1/api/sql"];
    for path in of_topics.into_iter().chain(["/api/v1/dlq/selections"]) {
        let is_of_topics = of_topics.contains(&path);
        let body = json!({"zzq": "x".repeat(1 << 20)}).to_string();
        let request = || Request::post(path).header(header::CONTENT_TYPE, "application/json");
        let known = || request().header(header::AUTHORIZATION, &bearer);
        for (request, status, code) in [
            (request().body(Body::from("{}")).unwrap(), 401, "UNAUTHORIZED"),
            (known().body(Body::from(body)).unwrap(), 413, "PAYLOAD_TOO_LARGE"),
            (
                Request::post(path).header(header::AUTHORIZATION, &bearer).body(Body::from("{}")).unwrap(),
                415,
                "UNSUPPORTED_MEDIA_TYPE",
            ),
            (
                Request::get(path).header(header::AUTHORIZATION, &bearer).body(Body::empty()).unwrap(),
                405,
                "METHOD_NOT_ALLOWED",
            ),
            (
                known().header("sec-fetch-site", "cross-site").body(Body::from("{}")).unwrap(),
                403,
                "FORBIDDEN",
            ),
        ] {
            let answer = shop.console.send(request).await;
            refused(&answer, status, code, is_of_topics);
            assert!(!answer.text().contains("zzq"), "{}", answer.text());
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            if status == 405 {
                assert!(answer.header("allow").contains("POST"), "{}", answer.header("allow"));
            }
            if status == 401 {
                assert_eq!(answer.header("www-authenticate"), "Bearer");
            }
        }
    }
    for (path, is_of_topics) in
        [("/v1/api/topics/nothing", true), ("/v1/api/", true), ("/v1/nothing", false), ("/v1/api", false)]
    {
        let answer = shop.console.ask(Role::Admin, &format!("POST {path}")).await;
        refused(&answer, 404, "NOT_FOUND", is_of_topics);
    }
}

#[tokio::test]
async fn the_document_has_every_field() {
    let shop = Shop::empty().await;
    let document = shop.console.get("/openapi.json").await;
    let schemas = &document["components"]["schemas"];
    let group = "claim_id group_id partition_id topic_id";
    for (name, more) in [
        ("Consume", "group_id lease_seconds limit on_deleted partition_id start timeout_seconds topic_id"),
        ("ConsumeAnswer", "claim_id deleted has_more lease_until_ms messages next_offset"),
        (
            "TopicMessage",
            "attempt event_id event_type headers key offset op partition_id payload timestamp_ms topic_id user",
        ),
        ("Deleted", "from partition_id to"),
        ("Acknowledge", &format!("{group} offsets upto_offset")),
        ("Acknowledged", "acknowledged_offset success"),
        ("GiveBack", &format!("{group} delay_seconds error offsets tried upto_offset")),
        ("Extend", &format!("{group} lease_seconds")),
        ("Extended", "lease_until_ms success"),
        ("Append", "data if_new records topic_id"),
        ("Appended", "duplicate id records success"),
        ("AppendedRecord", "duplicate id"),
        ("LatestOffsets", "partitions"),
        ("PartitionOf", "partition_id topic_id"),
        ("LatestOffset", "last_offset next_offset partition_id topic_id"),
        ("Sql", "sql"),
        ("SqlAnswer", "error results status took"),
        ("SqlError", "code details message"),
        ("Failure", "code earliest error existing_id next partition_id"),
    ] {
        let Some(fields) = schemas[name]["properties"].as_object() else { panic!("there is no {name}") };
        let mut expected: Vec<&str> = more.split(' ').collect();
        expected.sort_unstable();
        let mut fields: Vec<&str> = fields.keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, expected, "{name}");
    }
}

#[tokio::test]
async fn a_token_uses_a_thousand_groups_and_no_more() {
    let shop = Shop::with(1, 0..1).await;
    let using = |groups: std::ops::Range<u32>| {
        let statements = groups.map(|n| format!("CONSUME FROM shop.orders GROUP 'g{n}' LIMIT 0"));
        json!({ "sql": statements.collect::<Vec<_>>().join(";") })
    };
    let tell = async |role, body| shop.console.tell(role, "POST /v1/api/sql", body).await;
    for hundred in 0..10 {
        assert_eq!(tell(Role::Service, using(hundred * 100..hundred * 100 + 100)).await.status, 200);
    }
    let other = |group: &str| json!({"topic_id": TOPIC, "group_id": group, "start": "Earliest"});
    shop.post("consume", other("other")).await.is_failure(403, "TOO_MANY_GROUPS");
    let up_to = json!({"topic_id": TOPIC, "group_id": "other", "upto_offset": 0});
    shop.post("ack", up_to).await.is_failure(403, "TOO_MANY_GROUPS");
    let refused = tell(Role::Service, using(1_000..1_001)).await;
    assert_eq!((refused.status, &refused.json()["error"]["code"]), (403, &json!("TOO_MANY_GROUPS")));
    assert_eq!(tell(Role::Service, using(7..8)).await.status, 200, "a known one may be used");
    assert_eq!(
        tell(Role::Admin, using(1_000..1_001)).await.status,
        200,
        "another token has names of its own"
    );

    let dropping = json!({"sql": "DROP CONSUMER GROUP IF EXISTS 'g7' ON shop.orders"});
    assert_eq!(tell(Role::Admin, dropping).await.status, 200);
    assert_eq!(shop.post("consume", other("other")).await.status, 200, "a dropped group makes room");
}
