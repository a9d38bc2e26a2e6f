//! The port for health and metrics.

use std::sync::Arc;

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use messagekit::gate::{BreakerState, CircuitBreaker};
use prometheus::Registry;
use serde::Serialize;
use tokio::sync::watch;

use crate::Stats;

/// The state that the port reports.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) name: Arc<str>,
    pub(super) registry: Registry,
    /// `Some` while the bridge runs.
    pub(super) running: watch::Receiver<Option<Running>>,
}

#[derive(Clone)]
pub(super) struct Running {
    pub(super) stats: Stats,
    pub(super) breaker: Option<CircuitBreaker>,
}

#[derive(Serialize)]
struct Report {
    status: &'static str,
    bridge: Arc<str>,
    problems: Vec<Problem>,
    /// The closed gate: a pause, not a problem by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    held_back_by: Option<HeldBack>,
}

#[derive(Serialize)]
struct HeldBack {
    gate: &'static str,
    /// Seconds since it closed.
    seconds: u64,
}

/// A reason why the bridge cannot forward.
#[derive(Serialize)]
struct Problem {
    name: &'static str,
    detail: String,
}

impl Health {
    pub(super) fn router(self) -> Router {
        Router::new()
            .route("/health/live", get(async || "live\n"))
            .route("/health/ready", get(ready))
            .route("/metrics", get(metrics))
            .with_state(self)
    }

    fn problems(&self) -> Vec<Problem> {
        let problem = |name, detail: String| Problem { name, detail };
        let Some(running) = self.running.borrow().clone() else {
            return vec![problem("starting", "the exchanges are not verified yet".to_owned())];
        };
        let stats = running.stats.read();
        let mut problems = Vec::new();
        if stats.lanes == 0 {
            problems.push(problem("not_assigned", "no partition is assigned to this process".to_owned()));
        }
        if let Some(blocked) = stats.blocked {
            let detail = format!("for {} s: {}", blocked.since.as_secs(), blocked.error);
            problems.push(problem("blocked_by_broker", detail));
        }
        if let Some(full) = stats.full {
            let detail = format!("for {} s: {}", full.since.as_secs(), full.error);
            problems.push(problem("queue_full", detail));
        }
        if running.breaker.is_some_and(|breaker| breaker.state() == BreakerState::Open) {
            problems
                .push(problem("breaker_open", "publishing is held back after failures in a row".to_owned()));
        }
        problems
    }

    fn held_back_by(&self) -> Option<HeldBack> {
        let (gate, since) = self.running.borrow().as_ref()?.stats.held_back_by()?;
        Some(HeldBack { gate, seconds: since.as_secs() })
    }
}

async fn ready(State(health): State<Health>) -> Response {
    let problems = health.problems();
    let (code, status) = match problems.is_empty() {
        true => (StatusCode::OK, "ready"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not_ready"),
    };
    let held_back_by = health.held_back_by();
    (code, Json(Report { status, bridge: health.name, problems, held_back_by })).into_response()
}

async fn metrics(State(health): State<Health>) -> Response {
    let text = messagekit_prometheus::text(&health.registry);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
