//! Requests that no regular client sends.

use axum::body::Body;
use axum::http::{Method, Request, header};
use messagekit_admin::Role;
use serde_json::{Value, json};

use crate::ask::{Answer, Console};
use crate::stock::Stores;

/// Part of every hostile value, to detect an echo.
const MARK: &str = "zzq";

fn refused(answer: &Answer, what: &str) {
    assert!((400..500).contains(&answer.status), "{what} answers {}: {}", answer.status, answer.text());
    answer.is_problem(answer.status);
    assert!(!answer.text().contains(MARK), "{what} is repeated: {}", answer.text());
}

#[tokio::test]
async fn strange_queries_are_refused() {
    let stores = Stores::with(2, 2).await;
    let long = "a".repeat(100_000);
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        for query in [
            "limit=-1",
            "limit=0",
            "limit=201",
            "limit=100000000",
            "limit=99999999999999999999",
            "limit=1e2",
            "limit=",
            "limit=0x10",
            "limit=1&limit=2",
            "limit[]=1",
            "limit=zzq",
            "limit=%00",
            "before=0",
            "before=-1",
            "before=99999999999999999999",
            "before=zzq",
            "before=shop:",
            "before=shop:zzq",
            "before=a:1,b:2",
            "before=%FF",
            "state=zzq",
            "state=",
            "state=DEAD",
            "state=dead&state=dead",
            "origin=zzq",
            "consumer=%00zzq",
            "consumer=zzq%0d%0a",
            "consumer=%FFzzq",
            "consumer=%zz",
            "consumer=zzq%",
            "type=%C3%28zzq",
            "kind=%E2%80",
            "fingerprint=%1b%5b31mzzq",
            "since=zzq",
            "since=0000-01-01T00:00:00Z",
            "until=99999-12-31T00:00:00Z",
            "since=-009999-01-02T00:00:00Z",
            "since=2026-13-01T00:00:00Z",
            "since=2026-01-01",
            "since=1",
            "until=",
            "database=zzq",
            "database=SHOP",
            "database=..%2f..%2fzzq",
            "database=%00",
            "zzq=1",
            "=zzq",
            "%FF=1",
            "consumr=billing",
            "_method=DELETE",
        ] {
            refused(&console.ask(Role::Admin, &format!("GET /api/v1/dlq?{query}")).await, query);
        }
        refused(
            &console.ask(Role::Admin, &format!("GET /api/v1/dlq?consumer={}", &long[..60_000])).await,
            "a long text",
        );
        for query in [
            "after=zzq",
            "after=/",
            "after=2026-01-01T00:00:00Z/",
            "after=0000-01-01T00:00:00Z/m",
            "after=2026-01-01T00:00:00Z/at:zzq",
            "key=%00",
        ] {
            refused(&console.ask(Role::Admin, &format!("GET /api/v1/replay/events?{query}")).await, query);
        }
        // Text like a statement or a pattern is ordinary text.
        for query in [
            "consumer=%27%3B%20DROP%20TABLE%20failed_messages%3B--",
            "consumer=%25",
            "consumer=_",
            "key=%27",
            "type=%E2%80%AEzzq",
            "consumer=(a%2B)%2B%24",
        ] {
            let answer = console.get(&format!("/api/v1/dlq?{query}")).await;
            assert_eq!(answer["failed_messages"], json!([]), "{query}");
        }
        assert_eq!(console.get("/api/v1/dlq").await["failed_messages"].as_array().unwrap().len(), 2);
    }
}

#[tokio::test]
async fn strange_paths_and_methods_are_refused() {
    let stores = Stores::with(1, 0).await;
    let console = Console::of([("shop", stores.each()[1].clone())]);
    for path in [
        "/api/v1/dlq/0",
        "/api/v1/dlq/-1",
        "/api/v1/dlq/+1",
        "/api/v1/dlq/zzq",
        "/api/v1/dlq/1.0",
        "/api/v1/dlq/%31%00",
        "/api/v1/dlq/99999999999999999999999",
        "/api/v1/dlq/%FF",
        "/api/v1/dlq/..%2f..%2fetc%2fpasswd",
        "/api/v1/dlq/1/",
        "/api/v1//dlq",
        "/API/V1/DLQ",
        "/api/v1/dlq/1;zzq",
        "/../etc/passwd",
        "/api/v1/replay/zzq",
        "/zzq",
        "//zzq/dlq",
    ] {
        refused(&console.ask(Role::Admin, &format!("GET {path}")).await, path);
    }
    for line in [
        "DELETE /api/v1/dlq/1",
        "PUT /api/v1/dlq",
        "PATCH /api/v1/dlq/1",
        "TRACE /api/v1/dlq",
        "ZZQ /api/v1/dlq",
        "POST /api/v1/dlq",
        "POST /health",
    ] {
        let answer = console.ask(Role::Admin, line).await;
        answer.is_problem(405);
        assert!(answer.header("allow").contains("GET"), "{line}: {}", answer.header("allow"));
    }
    let mut overridden = console.request(Role::Admin, "POST /api/v1/dlq", None);
    overridden.headers_mut().insert("x-http-method-override", "GET".parse().unwrap());
    console.send(overridden).await.is_problem(405);
}

#[tokio::test]
async fn strange_bodies_are_refused() {
    let stores = Stores::with(2, 1).await;
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(50_000), close.repeat(50_000));
    for store in stores.each() {
        let console = Console::of([("shop", store)]);
        let bodies: Vec<Vec<u8>> = [
            "",
            "{",
            "null",
            "[]",
            "1",
            "\"zzq\"",
            "{}",
            "{\"filter\":null}",
            "{\"filter\":[]}",
            "{\"filter\":{\"zzq\":1}}",
            "{\"filter\":{},\"zzq\":1}",
            "{\"filter\":{},\"filter\":{}}",
            "{\"filter\":{\"state\":\"zzq\"}}",
            "{\"filter\":{\"consumer\":7}}",
            "{\"filter\":{\"consumer\":\"zzq\\u0000\"}}",
            "{\"filter\":{\"since\":\"zzq\"}}",
            "{\"filter\":{\"since\":\"-009999-01-02T00:00:00Z\"}}",
            "{\"filter\":{}} zzq",
            "\u{feff}{\"filter\":{}}",
            "{\"filter\":{\"consumer\":\"\\ud800\"}}",
            "{\"filter\":{},\"database\":\"zzq\"}",
            "NaN",
            "{'filter':{}}",
            &deep("[", "]"),
            &deep("{\"filter\":", "}"),
        ]
        .into_iter()
        .map(|text| text.as_bytes().to_vec())
        .chain([b"{\"filter\":{\"consumer\":\"\xff\"}}".to_vec(), vec![0; 100]])
        .collect();
        let send = async |path: &str, body: Vec<u8>| {
            let request = Request::post(path)
                .header(header::AUTHORIZATION, console.bearer(Role::Admin))
                .header(header::CONTENT_TYPE, "application/json");
            console.send(request.body(Body::from(body)).unwrap()).await
        };
        for path in ["/api/v1/dlq/selections", "/api/v1/dlq/bulk", "/api/v1/replay/count", "/api/v1/replay"] {
            for body in &bodies {
                let seen: String = String::from_utf8_lossy(body).chars().take(60).collect();
                // A replay accepts an empty filter, and failed messages have fields that events do not have.
                let answer = send(path, body.clone()).await;
                refused(&answer, &format!("{path} {seen}"));
            }
        }
        let digest = send("/api/v1/dlq/selections", json!({"filter": {}}).to_string().into()).await.json();
        let selection =
            json!({"act": "retry", "filter": {}, "until_id": 2, "count": 2, "digest": digest["digest"]});
        for (field, value) in [
            ("count", json!(-1)),
            ("count", json!(1e30)),
            ("count", json!("2")),
            ("digest", json!("0")),
            ("digest", json!("' OR true --")),
            ("digest", json!(["0"])),
            ("digest", Value::Null),
            ("until_id", json!(-1)),
            ("until_id", json!(1e30)),
            ("until_id", Value::Null),
            ("act", json!("zzq")),
            ("act", json!(["retry"])),
            ("per_second", json!(0)),
            ("per_second", json!(1_000_001)),
            ("per_second", json!(-1)),
            ("per_second", json!("10")),
        ] {
            let mut body = selection.clone();
            body[field] = value;
            refused(&send("/api/v1/dlq/bulk", body.to_string().into()).await, &body.to_string());
        }
        for pace in [json!(0), json!(-1), json!(1_000_001), json!(1.5), json!("10")] {
            let body = json!({"filter": {}, "per_second": pace});
            refused(&send("/api/v1/replay", body.to_string().into()).await, &body.to_string());
        }
        let failed_messages = console.get("/api/v1/dlq?state=dead").await;
        assert_eq!(failed_messages["failed_messages"].as_array().unwrap().len(), 2, "nothing was done");
        assert_eq!(console.get("/api/v1/replay").await["replays"], json!([]));
        // The greatest possible number is valid.
        let mut body = selection.clone();
        body["until_id"] = json!(i64::MAX);
        let answer = send("/api/v1/dlq/bulk", body.to_string().into()).await;
        assert_eq!((answer.status, &answer.json()["done"]), (200, &json!(2)));
    }
}

#[tokio::test]
async fn bodies_have_a_type_and_a_limit() {
    let stores = Stores::with(0, 0).await;
    let console = Console::of([("shop", stores.each()[0].clone())]);
    let send = async |media_types: &[&str], length: Option<u64>, body: Vec<u8>| {
        let mut request = Request::post("/api/v1/dlq/selections")
            .header(header::AUTHORIZATION, console.bearer(Role::Operator));
        for media_type in media_types {
            request = request.header(header::CONTENT_TYPE, *media_type);
        }
        if let Some(length) = length {
            request = request.header(header::CONTENT_LENGTH, length);
        }
        console.send(request.body(Body::from(body)).unwrap()).await
    };
    let body = || br#"{"filter":{}}"#.to_vec();
    for good in ["application/json", "Application/JSON; charset=utf-8"] {
        assert_eq!(send(&[good], None, body()).await.status, 200, "{good}");
    }
    for bad in [
        &[][..],
        &[""],
        &["text/plain"],
        &["application/jsonx"],
        &["application/xml"],
        &["application/json", "application/json"],
    ] {
        send(bad, None, body()).await.is_problem(415);
    }
    let padded = |bytes: usize| {
        let mut body = body();
        body.resize(bytes, b' ');
        body
    };
    assert_eq!(send(&["application/json"], None, padded(1 << 20)).await.status, 200);
    send(&["application/json"], None, padded((1 << 20) + 1)).await.is_problem(413);
    send(&["application/json"], Some(1 << 30), body()).await.is_problem(413);
}

#[tokio::test]
async fn long_and_strange_headers_change_nothing() {
    let stores = Stores::with(1, 0).await;
    let console = Console::of([("shop", stores.each()[0].clone())]);
    let mut request = console.request(Role::Viewer, "GET /api/v1/dlq", None);
    request.headers_mut().insert("x-request-id", "r".repeat(10_000).parse().unwrap());
    request.headers_mut().insert("accept", "application/xml".parse().unwrap());
    request.headers_mut().insert("range", "bytes=0-1".parse().unwrap());
    request.headers_mut().insert("x-forwarded-for", "127.0.0.1".parse().unwrap());
    request.headers_mut().insert("x-long", "x".repeat(50_000).parse().unwrap());
    *request.method_mut() = Method::GET;
    let answer = console.send(request).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
    assert!(answer.header("x-request-id").len() <= 64);
}
