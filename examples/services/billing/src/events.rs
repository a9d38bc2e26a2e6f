//! What the service reads and what it tells others.
//!
//! [`OrderPlaced`] is a copy and not the order service's own type: services are built and deployed apart, and share what is
//! on the wire, nothing else. It names only the fields that bills need; the others pass by.

use messagekit::Event;
use serde::{Deserialize, Serialize};

/// An order was placed.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "customer")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: String,
    pub(crate) customer: Option<String>,
    pub(crate) pence: i64,
}

/// A bill was issued.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "customer")]
pub(crate) struct BillIssued {
    pub(crate) order_id: String,
    pub(crate) customer: Option<String>,
    pub(crate) pence: i64,
}
