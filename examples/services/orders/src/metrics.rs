//! The service's own metrics.

use messagekit::{Error, ErrorKind};
use prometheus::{IntCounterVec, Opts, Registry};

/// Adds the counter of requests to place an order, by outcome.
pub(crate) fn register(registry: &Registry) -> Result<IntCounterVec, Error> {
    let orders = Opts::new("orders_total", "Requests to place an order that the database answered");
    let orders = IntCounterVec::new(orders, &["outcome"]).and_then(|orders| {
        registry.register(Box::new(orders.clone()))?;
        Ok(orders)
    });
    let refused =
        |error| Error::new(ErrorKind::InvalidConfiguration, "metrics cannot be registered").caused_by(error);
    orders.map_err(refused)
}
