//! A client of an admin without a socket.

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, Request, header};
use messagekit::operations::Operations;
use messagekit_admin::{Admin, AdminBuilder, Role, Token, Tokens};
use serde_json::Value;
use tower::ServiceExt;

/// How long a test waits for an expected event.
pub(crate) const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

pub(crate) struct Console {
    pub(crate) admin: Admin,
    pub(crate) app: Router,
    tokens: Vec<(Role, Token)>,
}

pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Console {
    /// Creates an admin of these databases, with a token `ROLE` for each role.
    pub(crate) fn of(databases: impl IntoIterator<Item = (&'static str, Arc<dyn Operations>)>) -> Self {
        let add = |builder: AdminBuilder, (name, store)| builder.database(name, store);
        Self::with(databases.into_iter().fold(Admin::builder(), add))
    }

    /// Builds an admin, with a token `ROLE` for each role.
    pub(crate) fn with(builder: AdminBuilder) -> Self {
        let tokens: Vec<(Role, Token)> =
            Role::ALL.into_iter().map(|role| (role, Token::generate().unwrap())).collect();
        let mut known = Tokens::new();
        for (role, token) in &tokens {
            known.add(&format!("the-{role}"), *role, token.hash()).unwrap();
        }
        let admin = builder.tokens(known).build().unwrap();
        Self { app: admin.router(), admin, tokens }
    }

    pub(crate) fn bearer(&self, role: Role) -> String {
        let token = self.tokens.iter().find(|(known, _)| *known == role);
        format!("Bearer {}", token.unwrap().1.secret())
    }

    pub(crate) async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        Answer { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// Returns a request with the token of a role, and with an optional JSON body.
    pub(crate) fn request(&self, role: Role, line: &str, body: Option<&Value>) -> Request<Body> {
        let (method, path) = line.split_once(' ').unwrap();
        let request =
            Request::builder().method(method).uri(path).header(header::AUTHORIZATION, self.bearer(role));
        match body {
            None => request.body(Body::empty()).unwrap(),
            Some(body) => request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body.to_string().into())
                .unwrap(),
        }
    }

    pub(crate) async fn ask(&self, role: Role, line: &str) -> Answer {
        self.send(self.request(role, line, None)).await
    }

    pub(crate) async fn tell(&self, role: Role, line: &str, body: Value) -> Answer {
        self.send(self.request(role, line, Some(&body))).await
    }

    /// Returns the body of a request that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Value {
        let answer = self.ask(Role::Viewer, &format!("GET {path}")).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        answer.json()
    }
}

impl Answer {
    pub(crate) fn text(&self) -> String {
        String::from_utf8(self.body.to_vec()).unwrap()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Asserts that the response is a problem in the common form of errors.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16) {
        assert_eq!(self.status, status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status);
        assert!(problem["title"].is_string() && problem["detail"].is_string(), "{problem}");
    }
}

/// Returns the response to a probe of a service.
pub(crate) async fn asked(app: &axum::Router) -> (u16, Value) {
    let request = Request::get("/health/ready").body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = to_bytes(response.into_body(), 100_000).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

/// Waits until a condition holds; virtual time passes meanwhile.
pub(crate) async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let so = async {
        while !holds().await {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(DEADLINE, so).await.unwrap_or_else(|_| panic!("waited in vain: {what}"));
}
