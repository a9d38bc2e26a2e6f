//! Access checks, and protection of secrets.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, header};
use messagekit::ErrorKind;
use messagekit::operations::Operations;
use messagekit_admin::{Admin, Role, Token, Tokens};
use messagekit_memory::MemoryStore;
use tower::ServiceExt;

use crate::ask::Console;
use crate::stock::dead;

fn store() -> Arc<dyn Operations> {
    Arc::new(MemoryStore::new())
}

fn tokens() -> Tokens {
    let mut tokens = Tokens::new();
    tokens.add("mona", Role::Operator, Token::generate().unwrap().hash()).unwrap();
    tokens
}

#[test]
fn admin_needs_a_token_and_reports_every_problem() {
    let refused = Admin::builder().database("shop", store()).build().unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfiguration);
    assert!(refused.to_string().contains("no token"), "{refused}");
    let registry = prometheus::Registry::new();
    messagekit_prometheus::Metrics::new(&registry).unwrap();
    let builder = Admin::builder().database("A", store()).database("b", store()).database("b", store());
    let refused = builder.registry(registry).build().unwrap_err().to_string();
    for part in ["no token", "database 1 has a name", "two databases b", "cannot be registered"] {
        assert!(refused.contains(part), "{part}: {refused}");
    }
    assert!(Admin::builder().tokens(tokens()).build().unwrap_err().to_string().contains("no database"));
    let registry = prometheus::Registry::new();
    let metrics = messagekit_prometheus::Metrics::new(&registry).unwrap();
    Admin::builder().database("b", store()).tokens(tokens()).metrics(registry, metrics).build().unwrap();
}

#[test]
fn nothing_shows_a_token() {
    let token = Token::generate().unwrap();
    let mut tokens = Tokens::new();
    tokens.add("mona", Role::Admin, token.hash()).unwrap();
    let hash = token.hash().to_string();
    let builder = Admin::builder().database("shop", store()).tokens(tokens.clone());
    let mut shown = vec![format!("{token:?}"), format!("{tokens:?}"), format!("{builder:?}")];
    shown.push(format!("{:?}", builder.build().unwrap()));
    shown.push(tokens.add("otto", Role::Admin, token.hash()).unwrap_err().to_string());
    shown.push(format!("{:?}", Tokens::parse(&format!("mona admin {}", token.secret())).unwrap_err()));
    for text in shown {
        assert!(!text.contains(&token.secret()[3..]) && !text.contains(&hash[7..]), "{text}");
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_act() {
    let store = MemoryStore::new();
    dead(&store, 1).await;
    let console = Console::of([("shop", Arc::new(store) as _)]);
    for (name, value) in [
        ("sec-fetch-site", "cross-site"),
        ("sec-fetch-site", "same-site"),
        ("origin", "https://elsewhere.example"),
        ("origin", "null"),
    ] {
        let mut request = console.request(Role::Admin, "POST /api/v1/dlq/1/retry", None);
        request.headers_mut().insert(header::HOST, "admin.example".parse().unwrap());
        request.headers_mut().insert(name, value.parse().unwrap());
        console.send(request).await.is_problem(403);
    }
    for form in ["application/x-www-form-urlencoded", "text/plain", "multipart/form-data"] {
        let mut request = console.request(Role::Admin, "POST /api/v1/dlq/1/retry", None);
        request.headers_mut().insert(header::CONTENT_TYPE, form.parse().unwrap());
        console.send(request).await.is_problem(415);
    }
    let mut own = console.request(Role::Admin, "POST /api/v1/dlq/1/retry", None);
    own.headers_mut().insert(header::HOST, "admin.example".parse().unwrap());
    own.headers_mut().insert(header::ORIGIN, "http://admin.example".parse().unwrap());
    assert_eq!(console.send(own).await.status, 202);
    for line in ["GET /api/v1/dlq/1/retry", "GET /api/v1/dlq/bulk", "HEAD /replay/1"] {
        let status = console.ask(Role::Admin, line).await.status;
        assert!([400, 404, 405].contains(&status), "{line}: {status}");
    }
}

#[tokio::test]
async fn every_answer_is_sealed_and_named() {
    let console = Console::of([("shop", store())]);
    for line in [
        "GET /api/v1/dlq",
        "GET /nothing",
        "DELETE /api/v1/dlq",
        "GET /api/v1/dlq?limit=x",
        "GET /api/v1/dlq/7",
    ] {
        let answer = console.ask(Role::Viewer, line).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{line}");
        assert!(answer.header("content-security-policy").starts_with("default-src 'none'"), "{line}");
        assert_eq!(answer.header("cache-control"), "no-store", "{line}");
        assert!(!answer.header("x-request-id").is_empty(), "{line}");
        assert!(answer.header("access-control-allow-origin").is_empty(), "{line}");
    }
    let stranger = console.send(Request::get("/api/v1/dlq").body(Body::empty()).unwrap()).await;
    assert_eq!(stranger.header("cache-control"), "no-store");
    assert!(!stranger.header("x-request-id").is_empty());
}

#[tokio::test]
async fn a_host_that_is_not_served_is_not_answered() {
    let token = Token::generate().unwrap();
    let mut tokens = Tokens::new();
    tokens.add("mona", Role::Admin, token.hash()).unwrap();
    let admin =
        Admin::builder().database("shop", store()).tokens(tokens).hosts(["admin.example"]).build().unwrap();
    for (host, status) in [
        ("admin.example", 200),
        ("Admin.Example:9464", 200),
        ("evil.example", 421),
        ("admin.example.evil.example", 421),
        ("127.0.0.1:9464", 421),
    ] {
        let request = Request::get("/health/live").header(header::HOST, host);
        let request = request.header(header::AUTHORIZATION, format!("Bearer {}", token.secret()));
        let response = admin.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), status, "{host}");
    }
}

#[tokio::test]
async fn an_app_of_ones_own_nests_it() {
    let console = Console::of([("shop", store())]);
    let app = Router::new().route("/", axum::routing::get(async || "mine")).nest("/ops", console.app.clone());
    let ask = async |path: &str, token: Option<&str>| {
        let mut request = Request::get(path);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, token);
        }
        app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status().as_u16()
    };
    let viewer = console.bearer(Role::Viewer);
    assert_eq!(ask("/", None).await, 200);
    assert_eq!(ask("/ops/api/v1/dlq", None).await, 401);
    assert_eq!(ask("/ops/api/v1/dlq", Some(&viewer)).await, 200);
    assert_eq!(ask("/ops/api/v1/dlq/1/payload", Some(&viewer)).await, 403);
    assert_eq!(ask("/ops/nothing", None).await, 401);
    assert_eq!(ask("/elsewhere", None).await, 404);
}
