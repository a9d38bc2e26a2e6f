//! Events that several suites publish and handle.

use messagekit::Event;
use serde::{Deserialize, Serialize};

/// An order, of which a test needs no more than the id.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
pub struct OrderPlaced {
    /// The key.
    pub order_id: String,
}

/// What a member of a group handles.
#[derive(Clone, Debug, Event, Serialize, Deserialize)]
#[event(type = "storm.step.taken", key = "key")]
pub struct StepTaken {
    /// The key.
    pub key: String,
}
