//! The events that the service writes.

use messagekit::Event;
use serde::{Deserialize, Serialize};

/// An order was placed. The events of one customer keep their order; orders of unknown customers have no key.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "customer")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: String,
    pub(crate) customer: Option<String>,
    pub(crate) country: String,
    pub(crate) pence: i64,
}
