//! The port for health and metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use messagekit::relay::{RelayStats, Stats};
use prometheus::Registry;
use serde_json::{Value, json};

/// The state that the port reports.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) name: Arc<str>,
    pub(super) stats: Stats,
    pub(super) registry: Registry,
}

impl Health {
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/health/live", get(async || "live\n"))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let stats = health.stats.read();
    let problems = problems(&stats);
    let (code, status) = match problems.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let report =
        json!({ "status": status, "relay": &*health.name, "shards": stats.shards, "problems": problems });
    (code, Json(report)).into_response()
}

/// Returns the problems that prevent publishing.
fn problems(stats: &RelayStats) -> Vec<Value> {
    let problem = |name: &str, detail: String| json!({ "name": name, "detail": detail });
    let lasting = |since: Duration, error: &str| format!("for {} s: {error}", since.as_secs());
    let mut problems = Vec::new();
    if let Some(away) = &stats.database {
        problems.push(problem("database_away", lasting(away.since, &away.error)));
    }
    if stats.lease.is_none() {
        let detail = "no lease of the outbox: it may publish nothing until the database grants one";
        problems.push(problem("no_lease", detail.to_owned()));
    }
    for paused in &stats.paused {
        let mut report = problem("topic_paused", lasting(paused.since, &paused.error));
        report["topic"] = Value::from(&*paused.topic);
        problems.push(report);
    }
    problems
}

async fn metrics(State(health): State<Health>) -> Response {
    let text = messagekit_prometheus::text(&health.registry);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
