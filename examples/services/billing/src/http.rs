//! The port for health and metrics: `/health/live`, `/health/ready`, `/health/outbox` and `/metrics`.

use std::net::SocketAddr;

use axum::Router;
use messagekit::{Error, ErrorKind, Stats};
use messagekit_admin::{Health, metrics_router};
use messagekit_postgres::PostgresStore;
use messagekit_prometheus::Metrics;
use prometheus::Registry;
use tokio::net::TcpListener;

/// Listens on the address, and returns the actual one too: port 0 takes any free port.
pub(crate) async fn listen(address: SocketAddr) -> Result<(TcpListener, SocketAddr), Error> {
    let refused = |error: std::io::Error| {
        let text = "cannot listen: end what has this address, or name another in BILLING_LISTEN";
        Error::new(ErrorKind::Unavailable, text).with("address", address).caused_by(error)
    };
    let listener = TcpListener::bind(address).await.map_err(refused)?;
    let actual = listener.local_addr().map_err(refused)?;
    Ok((listener, actual))
}

/// Returns the paths, which read the database and the statistics of the consumer.
pub(crate) fn routes(store: PostgresStore, consumer: &str, stats: Stats) -> Result<Router, Error> {
    let registry = Registry::new();
    Metrics::new(&registry)?.consumer(consumer, stats.clone());
    let health = Health::new().store("billing", store).consumer(consumer, stats);
    Ok(health.router().merge(metrics_router(registry)))
}
