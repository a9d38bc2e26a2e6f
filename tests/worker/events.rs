//! The events of the shop.

use messagekit::Event;
use serde::{Deserialize, Serialize};

/// An order that billing can handle.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "customer")]
pub(crate) struct OrderPlaced {
    pub(crate) number: u64,
    pub(crate) customer: Option<String>,
    pub(crate) pence: i64,
}

/// An order that billing can handle only in its second run.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "orders.order.shaky", key = "customer")]
pub(crate) struct OrderShaky {
    pub(crate) number: u64,
    pub(crate) customer: Option<String>,
    pub(crate) pence: i64,
}

/// An order that billing can never handle.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "orders.order.spoiled", key = "customer")]
pub(crate) struct OrderSpoiled {
    pub(crate) number: u64,
    pub(crate) customer: Option<String>,
    pub(crate) pence: i64,
}

/// The event about a bill, in the transaction of the bill.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "billing.bill.issued", key = "customer")]
pub(crate) struct BillIssued {
    pub(crate) number: u64,
    pub(crate) customer: Option<String>,
    pub(crate) pence: i64,
}
