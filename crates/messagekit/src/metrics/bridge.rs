//! What a bridge tells.

use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge};

/// The figures of one bridge; cloning is cheap.
#[derive(Clone, Debug)]
pub struct BridgeMetrics {
    pub(super) bridge: String,
    pub(super) forwarded: IntCounterVec,
    pub(super) returned: IntCounterVec,
    pub(super) dead_lettered: IntCounterVec,
    /// Messages that the duplicate filter passed over.
    pub duplicates: IntCounter,
    /// Publishes that had to be repeated.
    pub repeated: IntCounter,
    /// Messages that are sent and not yet confirmed.
    pub unconfirmed: IntGauge,
    /// 1 while RabbitMQ blocks the connection, else 0.
    pub blocked: IntGauge,
    /// Time from sending to the confirmation.
    pub confirm_seconds: Histogram,
}

impl BridgeMetrics {
    /// Returns the counter of messages that RabbitMQ confirmed. A counter is looked up once per rule, not per message.
    pub fn forwarded(&self, exchange: &str) -> IntCounter {
        self.forwarded.with_label_values(&[&*self.bridge, exchange])
    }

    /// Returns the counter of messages that no queue wanted.
    pub fn returned(&self, exchange: &str) -> IntCounter {
        self.returned.with_label_values(&[&*self.bridge, exchange])
    }

    /// Returns the counter of messages that went to the dead-letter topic; `reason` is one of few words.
    pub fn dead_lettered(&self, reason: &str) -> IntCounter {
        self.dead_lettered.with_label_values(&[&*self.bridge, reason])
    }
}
