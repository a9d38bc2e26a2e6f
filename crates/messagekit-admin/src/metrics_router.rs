//! The metrics of a service without an admin.

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::Registry;

use crate::protection;

/// The text format of Prometheus, with its version.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Returns only `/metrics`, open to every caller, for any service: the content of `registry` in the text format of Prometheus.
///
/// Labels hold names of consumers, topics and databases, and nothing of a message; keep them from strangers.
///
/// ```
/// use messagekit_prometheus::Metrics;
/// use prometheus::Registry;
///
/// let registry = Registry::new();
/// let metrics = Metrics::new(&registry)?;
/// let app: axum::Router = messagekit_admin::Health::new()
///     .router()
///     .merge(messagekit_admin::metrics_router(registry));
/// # Ok::<(), messagekit::Error>(())
/// ```
pub fn metrics_router(registry: Registry) -> Router {
    let metrics = Router::new().route("/metrics", get(async move || page(&registry)));
    protection::around(metrics)
}

pub(crate) fn page(registry: &Registry) -> Response {
    ([(header::CONTENT_TYPE, TEXT_FORMAT)], messagekit_prometheus::text(registry)).into_response()
}
