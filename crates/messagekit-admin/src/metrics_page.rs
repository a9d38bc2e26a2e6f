//! The page for Prometheus.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use messagekit::operations::FailedMessageFilter;
use messagekit_prometheus::Metrics;
use prometheus::Registry;
use tokio::sync::Mutex;

use crate::database::Databases;
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

    async fn count(&self, databases: &Databases) {
        let mut counted = self.counted.lock().await;
        if counted.is_some_and(|at| at.elapsed() < FRESH) {
            return;
        }
        let every = FailedMessageFilter::default();
        let counts = databases.0.iter().map(|database| {
            let every = &every;
            async move {
                let metrics_page = async {
                    let lag = database.store.lag().await?;
                    let totals = database.store.totals(every).await?;
                    let sources = database.store.source_states().await?;
                    Ok((lag, totals, sources, database.store.consumer_statuses().await?))
                };
                match database.within(metrics_page).await {
                    Ok((lag, totals, sources, consumers)) => {
                        self.metrics.outbox(&database.name, &lag);
                        self.metrics.failed_messages(&database.name, &totals);
                        self.metrics.source_states(&database.name, &sources);
                        self.metrics.consumer_statuses(&database.name, &consumers);
                    }
                    Err(error) => {
                        tracing::warn!(database = &*database.name, error = %messagekit::chain(&error), "no metrics of the database");
                        self.metrics.unreachable(&database.name);
                    }
                }
            }
        });
        futures_util::future::join_all(counts).await;
        *counted = Some(Instant::now());
    }
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
