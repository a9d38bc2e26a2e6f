//! Every route with every role. The table below is written by hand, so that neither code nor document can change it.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, header};
use messagekit_admin::Role;
use messagekit_memory::MemoryStore;
use serde_json::{Value, json};

use crate::ask::{Answer, Console};
use crate::stock::{self, SECRET};

/// Every operation, and the weakest role that may use it.
const ROUTES: [(&str, Role); 42] = [
    ("GET /api/v1/audit", Role::Viewer),
    ("GET /api/v1/consumers", Role::Viewer),
    ("GET /api/v1/dlq", Role::Viewer),
    ("GET /api/v1/dlq/groups", Role::Viewer),
    ("GET /api/v1/dlq/totals", Role::Viewer),
    ("GET /api/v1/dlq/{id}", Role::Viewer),
    ("GET /api/v1/dlq/{id}/payload", Role::Reader),
    ("GET /api/v1/doctor", Role::Operator),
    ("GET /api/v1/events", Role::Viewer),
    ("GET /api/v1/events/{id}", Role::Viewer),
    ("GET /api/v1/outbox/rejected", Role::Viewer),
    ("GET /api/v1/replay", Role::Viewer),
    ("GET /api/v1/replay/events", Role::Viewer),
    ("GET /api/v1/replay/{id}", Role::Viewer),
    ("GET /api/v1/status", Role::Viewer),
    ("GET /dlq", Role::Viewer),
    ("GET /health", Role::Viewer),
    ("GET /health/live", Role::Viewer),
    ("GET /health/outbox", Role::Viewer),
    ("GET /health/ready", Role::Viewer),
    ("GET /metrics", Role::Viewer),
    ("GET /openapi.json", Role::Viewer),
    ("GET /replay", Role::Viewer),
    ("POST /api/v1/dlq/bulk", Role::Operator),
    ("POST /api/v1/dlq/selections", Role::Operator),
    ("POST /api/v1/dlq/{id}/discard", Role::Operator),
    ("POST /api/v1/dlq/{id}/retry", Role::Operator),
    ("POST /api/v1/dlq/{id}/undo", Role::Operator),
    ("POST /api/v1/outbox/rejected/{id}/discard", Role::Operator),
    ("POST /api/v1/outbox/rejected/{id}/retry", Role::Operator),
    ("POST /api/v1/replay", Role::Operator),
    ("POST /api/v1/replay/count", Role::Viewer),
    ("POST /api/v1/replay/{id}/cancel", Role::Operator),
    ("POST /dlq/{id}/retry", Role::Operator),
    ("POST /replay", Role::Operator),
    ("POST /v1/api/sql", Role::Service),
    ("POST /v1/api/topics/ack", Role::Service),
    ("POST /v1/api/topics/append", Role::Service),
    ("POST /v1/api/topics/consume", Role::Service),
    ("POST /v1/api/topics/extend", Role::Service),
    ("POST /v1/api/topics/latest-offsets", Role::Service),
    ("POST /v1/api/topics/nack", Role::Service),
];

/// The routes of services are for administrators, too, and for no other role.
fn may(role: Role, needed: Role) -> bool {
    match needed {
        Role::Service => matches!(role, Role::Service | Role::Admin),
        needed => role >= needed,
    }
}

fn is_of_topics(line: &str) -> bool {
    line.contains(" /v1/api/")
}

async fn console() -> Console {
    let store = MemoryStore::new();
    stock::fill(&store, 3, 3).await;
    let console = Console::of([("shop", Arc::new(store) as _)]);
    let ordered = console.tell(Role::Operator, "POST /api/v1/replay", json!({"filter": {}})).await;
    assert_eq!(ordered.status, 202);
    console
}

/// Returns the operations of the document with their descriptions.
async fn described(console: &Console) -> BTreeMap<String, Value> {
    let document = console.get("/openapi.json").await;
    let mut operations = BTreeMap::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            operations.insert(format!("{} {path}", method.to_uppercase()), operation.clone());
        }
    }
    operations
}

#[tokio::test]
async fn document_names_every_route_with_its_role() {
    let found = described(&console().await).await;
    let found: Vec<(&str, Role)> = found
        .iter()
        .map(|(line, operation)| {
            let role = operation["security"][0]["token"][0].as_str().unwrap();
            (line.as_str(), role.parse().unwrap())
        })
        .collect();
    assert_eq!(found, ROUTES);
}

#[tokio::test]
async fn every_operation_says_what_it_answers() {
    for (line, operation) in described(&console().await).await {
        let responses = operation["responses"].as_object().unwrap();
        let (content, schema) = match is_of_topics(&line) {
            true => ("application/json", "#/components/schemas/Failure"),
            false => ("application/problem+json", "#/components/schemas/Problem"),
        };
        for status in ["400", "401", "403", "422", "500", "504"] {
            let problem = &responses[status]["content"][content]["schema"]["$ref"];
            // A refused statement answers with what was run before it.
            let is_answer = line.ends_with("/sql") && problem == "#/components/schemas/SqlFailure";
            assert!(problem == schema || is_answer, "{line} {status} {problem}");
        }
        assert!(responses.keys().any(|status| status.starts_with('2')), "{line}");
        assert!(operation["operationId"].is_string() && operation["summary"].is_string(), "{line}");
        let sends = operation.get("requestBody").is_some();
        assert_eq!(responses.contains_key("413"), sends, "{line}");
        // Two operators may order at the same time.
        let orders = line.starts_with("POST") && line.ends_with("/replay");
        assert!(!orders || responses.contains_key("409"), "{line}");
    }
}

#[tokio::test]
async fn every_route_answers_only_those_who_may() {
    let console = console().await;
    let described = described(&console).await;
    let known: Vec<&str> = described.keys().map(String::as_str).collect();
    assert_eq!(known, ROUTES.map(|(line, _)| line), "the table is not that of the routes");
    for (line, needed) in ROUTES {
        let operation = &described[line];
        // An event is known by the id of its message.
        let asked = line.replace("events/{id}", "events/m-1").replace("{id}", "1");
        for role in Role::ALL {
            let body = operation.get("requestBody").map(|_| json!({"filter": {}}));
            let answer = console.send(console.request(role, &asked, body.as_ref())).await;
            if !may(role, needed) {
                assert_eq!(answer.status, 403, "{role} {asked} needs {needed}: {}", answer.text());
                if !is_of_topics(line) {
                    answer.is_problem(403);
                }
            } else if is_of_topics(line) {
                // A memory store has no topics that are served; what they answer is tested where there are some.
                assert!([400, 404].contains(&answer.status), "{role} {asked}: {}", answer.text());
            } else if line.starts_with("POST /api/v1/outbox/rejected") {
                // No relay publishes these outboxes: a caller with the role gets 404.
                answer.is_problem(404);
                assert!(answer.text().contains("no event of this number was set aside"), "{}", answer.text());
            } else {
                assert!(![401, 403, 404, 405].contains(&answer.status), "{role} {asked}: {}", answer.status);
            }
            let described = operation["responses"].as_object().unwrap();
            assert!(described.contains_key(&answer.status.to_string()), "{asked} answers {}", answer.status);
            let carries = String::from_utf8_lossy(&answer.body).contains(SECRET);
            assert!(!carries || role >= Role::Reader, "{role} {asked}: {}", answer.text());
        }
    }
}

#[tokio::test]
async fn nothing_is_answered_without_a_known_token() {
    let console = console().await;
    let stranger = messagekit_admin::Token::generate().unwrap();
    let operator = console.bearer(Role::Operator);
    let shown = [
        None,
        Some(String::new()),
        Some("Bearer".to_owned()),
        Some("Bearer ".to_owned()),
        Some(format!("Bearer {}", stranger.secret())),
        Some(format!("Bearer {}", stranger.hash())),
        Some(operator.replace("Bearer", "Basic")),
        Some(format!("{operator} ")),
        Some(operator[..operator.len() - 1].to_owned()),
        Some("Bearer \u{e9}".to_owned()),
    ];
    let mut lines: Vec<String> =
        described(&console).await.into_keys().map(|line| line.replace("{id}", "1")).collect();
    lines.extend(
        ["GET /", "GET /nothing", "DELETE /api/v1/dlq", "OPTIONS /api/v1/dlq", "TRACE /health"]
            .map(str::to_owned),
    );
    for line in lines {
        let (method, path) = line.split_once(' ').unwrap();
        for token in &shown {
            let mut request = Request::builder().method(method).uri(path);
            if let Some(token) = token {
                request = request.header(header::AUTHORIZATION, token);
            }
            let answer = console.send(request.body(Body::empty()).unwrap()).await;
            refused(&line, &answer);
            assert_eq!(answer.header("www-authenticate"), "Bearer");
        }
        let two = Request::builder().method(method).uri(path);
        let two = two.header(header::AUTHORIZATION, &operator).header(header::AUTHORIZATION, &operator);
        refused(&line, &console.send(two.body(Body::empty()).unwrap()).await);
    }
}

/// The routes of topics have a form of their own.
fn refused(line: &str, answer: &Answer) {
    if !is_of_topics(line) {
        return answer.is_problem(401);
    }
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!((answer.status, &body["code"]), (401, &json!("UNAUTHORIZED")));
}
