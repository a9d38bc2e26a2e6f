//! Metrics of a bridge.

use prometheus::core::Collector;
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

use super::family::durations;
use super::names;

/// Holds the metrics of one bridge; cloning is cheap.
#[derive(Clone, Debug)]
pub struct BridgeMetrics {
    bridge: String,
    forwarded: IntCounterVec,
    returned: IntCounterVec,
    dead_lettered: IntCounterVec,
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

/// The metrics of all bridges of a program.
#[derive(Clone, Debug)]
pub(super) struct Bridges {
    forwarded: IntCounterVec,
    returned: IntCounterVec,
    dead_lettered: IntCounterVec,
    duplicates: IntCounterVec,
    repeated: IntCounterVec,
    unconfirmed: IntGaugeVec,
    blocked: IntGaugeVec,
    confirm_seconds: HistogramVec,
}

impl Bridges {
    pub(super) fn new() -> prometheus::Result<Self> {
        let counter = |name, help, labels: &[&str]| -> prometheus::Result<_> {
            IntCounterVec::new(Opts::new(name, help), labels)
        };
        let gauge =
            |name, help| -> prometheus::Result<_> { IntGaugeVec::new(Opts::new(name, help), &["bridge"]) };
        let by_exchange = ["bridge", "exchange"];
        Ok(Self {
            forwarded: counter(names::BRIDGE_FORWARDED, "Messages that RabbitMQ confirmed", &by_exchange)?,
            returned: counter(names::BRIDGE_RETURNED, "Messages that no queue is bound for", &by_exchange)?,
            dead_lettered: counter(
                names::BRIDGE_DEAD_LETTERED,
                "Messages sent to the dead-letter topic",
                &["bridge", "reason"],
            )?,
            duplicates: counter(names::BRIDGE_DUPLICATES, "Messages skipped as duplicates", &["bridge"])?,
            repeated: counter(names::BRIDGE_REPEATED, "Repeated publishes", &["bridge"])?,
            unconfirmed: gauge(names::BRIDGE_UNCONFIRMED, "Messages in flight")?,
            blocked: gauge(names::BRIDGE_BLOCKED, "1 while RabbitMQ accepts or confirms nothing")?,
            confirm_seconds: HistogramVec::new(
                durations(names::BRIDGE_CONFIRM_SECONDS, "Time from sending to the confirmation"),
                &["bridge"],
            )?,
        })
    }

    pub(super) fn collectors(self) -> [Box<dyn Collector>; 8] {
        [
            Box::new(self.forwarded),
            Box::new(self.returned),
            Box::new(self.dead_lettered),
            Box::new(self.duplicates),
            Box::new(self.repeated),
            Box::new(self.unconfirmed),
            Box::new(self.blocked),
            Box::new(self.confirm_seconds),
        ]
    }

    pub(super) fn of(&self, bridge: &str) -> BridgeMetrics {
        BridgeMetrics {
            bridge: bridge.to_owned(),
            forwarded: self.forwarded.clone(),
            returned: self.returned.clone(),
            dead_lettered: self.dead_lettered.clone(),
            duplicates: self.duplicates.with_label_values(&[bridge]),
            repeated: self.repeated.with_label_values(&[bridge]),
            unconfirmed: self.unconfirmed.with_label_values(&[bridge]),
            blocked: self.blocked.with_label_values(&[bridge]),
            confirm_seconds: self.confirm_seconds.with_label_values(&[bridge]),
        }
    }
}
