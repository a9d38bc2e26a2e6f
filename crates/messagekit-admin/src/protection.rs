//! Layers around every route: limits, security headers and access checks.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::csrf::{CsrfLayer, ProtectionError};

use crate::body::MAX_BODY;
use crate::problem::Problem;
use crate::{Tokens, caller, failure, request_id};

/// How long a request may take, its body included: 30 seconds.
const TIME_LIMIT: Duration = Duration::from_secs(30);

/// Adds the layers that every response needs.
pub(crate) fn around(routes: Router) -> Router {
    routes
        .layer(from_fn(in_time))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(failure::in_own_form))
        .layer(from_fn(sealed))
        .layer(from_fn(request_id::name))
}

/// Adds the access checks too.
pub(crate) fn closed(routes: Router, tokens: Tokens, hosts: Arc<[String]>) -> Router {
    let doors = routes
        .fallback(nothing_here)
        .method_not_allowed_fallback(not_so)
        .layer(CsrfLayer::new().with_rejection_response(from_elsewhere))
        .layer(from_fn_with_state(tokens, caller::authenticate))
        .layer(from_fn_with_state(hosts, known_host));
    around(doors)
}

async fn nothing_here() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "there is nothing under this path: /openapi.json lists what there is")
}

async fn not_so() -> Problem {
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this path does not take this method: see header allow")
}

fn from_elsewhere(_: ProtectionError) -> Response {
    Problem::new(StatusCode::FORBIDDEN, "a page of another site sent this request").into_response()
}

fn panicked(_: Box<dyn Any + Send + 'static>) -> Response {
    let text =
        "the request met a fault of this program: the log has more under the id in header x-request-id";
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
}

async fn in_time(request: Request, next: Next) -> Response {
    tokio::time::timeout(TIME_LIMIT, next.run(request)).await.unwrap_or_else(|_| {
        let text = format!(
            "no answer within {} s: look at the state before you send it again",
            TIME_LIMIT.as_secs()
        );
        Problem::new(StatusCode::GATEWAY_TIMEOUT, text).into_response()
    })
}

/// Responses contain foreign content: browsers must not run, frame, sniff or cache it.
async fn sealed(request: Request, next: Next) -> Response {
    const HEADERS: [(HeaderName, &str); 5] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    let mut response = next.run(request).await;
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Rejects an unknown host name: with DNS rebinding, a browser sends such a name to this address.
async fn known_host(State(hosts): State<Arc<[String]>>, request: Request, next: Next) -> Response {
    if hosts.is_empty() {
        return next.run(request).await;
    }
    let header = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let host = request.uri().authority().map(|authority| authority.as_str()).or(header).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|digit| digit.is_ascii_digit()) => name,
        _ => host,
    };
    if hosts.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        return next.run(request).await;
    }
    Problem::new(StatusCode::MISDIRECTED_REQUEST, "this host name is not one of those that are served")
        .into_response()
}
