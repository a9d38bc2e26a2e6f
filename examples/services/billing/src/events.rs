//! The events that the service reads and writes.
//!
//! [`OrderPlaced`] is a copy of the order service's type. Services are built and deployed separately, and share only the
//! wire format. The copy has only the fields that bills need; other fields are ignored.

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
