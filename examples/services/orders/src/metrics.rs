//! The metrics of the service: its own, and those of messagekit.

use messagekit::{Error, ErrorKind};
use messagekit_prometheus::Metrics;
use prometheus::{IntCounterVec, Opts, Registry};

/// Returns the registry that `/metrics` shows, and the counter of requests to place an order by outcome.
pub(crate) fn register() -> Result<(Registry, IntCounterVec), Error> {
    let registry = Registry::new();
    Metrics::new(&registry)?;
    let orders = Opts::new("orders_total", "Requests to place an order that the database answered");
    let orders = IntCounterVec::new(orders, &["outcome"]).and_then(|orders| {
        registry.register(Box::new(orders.clone()))?;
        Ok(orders)
    });
    let refused =
        |error| Error::new(ErrorKind::InvalidConfiguration, "metrics cannot be registered").caused_by(error);
    Ok((registry, orders.map_err(refused)?))
}
