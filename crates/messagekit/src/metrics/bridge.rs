//! Metrics of a bridge.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

/// Holds the metrics of one bridge; cloning is cheap.
#[derive(Clone, Debug)]
pub struct BridgeMetrics {
    pub(super) bridge: String,
    pub(super) forwarded: IntCounterVec,
    pub(super) returned: IntCounterVec,
    pub(super) dead_lettered: IntCounterVec,
    /// Messages that the duplicate filter skipped.
    pub duplicates: IntCounter,
    /// Repeated publishes.
    pub repeated: IntCounter,
    /// Messages in flight.
    pub unconfirmed: IntGauge,
    /// 1 while RabbitMQ blocks the connection, 0 otherwise.
    pub blocked: IntGauge,
    /// Time from sending to the confirmation.
    pub confirm_seconds: Histogram,
}

impl BridgeMetrics {
    /// Returns the counter of messages that RabbitMQ confirmed. Look it up once per rule, not per message.
    pub fn forwarded(&self, exchange: &str) -> IntCounter {
        self.forwarded.with_label_values(&[&*self.bridge, exchange])
    }

    /// Returns the counter of messages that RabbitMQ could not route to a queue.
    pub fn returned(&self, exchange: &str) -> IntCounter {
        self.returned.with_label_values(&[&*self.bridge, exchange])
    }

    /// Returns the counter of messages sent to the dead-letter topic; `reason` has few values.
    pub fn dead_lettered(&self, reason: &str) -> IntCounter {
        self.dead_lettered.with_label_values(&[&*self.bridge, reason])
    }
}
