//! The page for Prometheus.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use messagekit::Error;
use messagekit::operations::FailedMessageFilter;
use messagekit_prometheus::Metrics;
use prometheus::Registry;
use tokio::sync::Mutex;

use crate::database::{Database, Databases};
use crate::health::log_unread;
use crate::metrics_router;
use crate::parameters::{Nothing, Query};

/// How long metrics of the databases are reused: many scrapers cost no more than one.
const FRESH: Duration = Duration::from_secs(5);

/// The registry to show, and its metrics of requests and databases.
#[derive(Debug)]
pub(crate) struct MetricsPage {
    registry: Registry,
    metrics: Metrics,
    counted: Mutex<Option<Instant>>,
}

impl MetricsPage {
    pub(crate) fn new(registry: Registry, metrics: Metrics) -> Self {
        Self { registry, metrics, counted: Mutex::new(None) }
    }

    pub(crate) async fn count(&self, databases: &Databases) {
        let mut counted = self.counted.lock().await;
        if counted.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let counts = databases.0.iter().map(|database| self.count_one(database));
        futures_util::future::join_all(counts).await;
        *counted = Some(Instant::now());
    }

    /// Asks a database for each of its metrics. One that is slow or fails removes itself alone, and a database that answered
    /// anything is up.
    async fn count_one(&self, database: &Database) {
        let (name, store) = (&*database.name, &*database.store);
        let every = FailedMessageFilter::default();
        // Two at a time, because this uses connections of the service. The totals may read the most.
        let others = async {
            let sources = answered(database, store.source_states()).await;
            let consumers = answered(database, store.consumer_statuses()).await;
            (sources, consumers, answered(database, store.totals(&every)).await)
        };
        let (lag, (sources, consumers, totals)) = tokio::join!(answered(database, store.lag()), others);
        if lag.is_none() && sources.is_none() && consumers.is_none() && totals.is_none() {
            return self.metrics.unreachable(name);
        }
        match &lag {
            Some(lag) => {
                log_unread(name, lag);
                self.metrics.outbox(name, lag);
            }
            None => self.metrics.outbox_unknown(name),
        }
        self.metrics.source_states(name, &sources.unwrap_or_default());
        self.metrics.consumer_statuses(name, &consumers.unwrap_or_default());
        self.metrics.failed_messages(name, &totals.unwrap_or_default());
    }
}

/// Returns an answer that comes before the deadline, and logs why there is none.
async fn answered<T>(database: &Database, answer: impl Future<Output = Result<T, Error>>) -> Option<T> {
    let answer = database.within(answer).await;
    answer
        .inspect_err(|error| {
            tracing::warn!(database = &*database.name, error = %messagekit::chain(error), "not all metrics of the database are known");
        })
        .ok()
}

/// Show the metrics of this process and of the databases, for Prometheus
#[utoipa::path(
    get, path = "/metrics", tag = "health", operation_id = "metrics",
    responses((status = 200, body = String, content_type = "text/plain"))
)]
pub(crate) async fn metrics(
    State(page): State<Arc<MetricsPage>>,
    State(databases): State<Databases>,
    _nothing: Query<Nothing>,
) -> Response {
    page.count(&databases).await;
    metrics_router::page(&page.registry)
}

/// Counts a request under its route's pattern.
pub(crate) async fn count_request(
    State(page): State<Arc<MetricsPage>>,
    request: Request,
    next: Next,
) -> Response {
    let began = Instant::now();
    let known = [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS];
    let method = known.into_iter().find(|known| known == request.method());
    let route = request.extensions().get::<MatchedPath>().cloned();
    let response = next.run(request).await;
    let method = method.as_ref().map_or("other", Method::as_str);
    let route = route.as_ref().map_or("other", MatchedPath::as_str);
    page.metrics.request(method, route, response.status().as_u16(), began.elapsed());
    response
}
