//! Metrics of a relay.

use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::{counters, gauges, names, times};

/// Holds the metrics of one relay; cloning is cheap.
#[derive(Clone, Debug)]
pub struct RelayMetrics {
    /// Events that the broker confirmed.
    pub published: IntCounter,
    /// Events that the broker rejected permanently.
    pub rejected: IntCounter,
    /// Repeated publishes.
    pub repeated: IntCounter,
    /// Events in flight.
    pub unconfirmed: IntGauge,
    /// Outbox shards that the relay holds.
    pub shards: IntGauge,
    /// Topics that the broker does not accept at the moment.
    pub paused_topics: IntGauge,
    /// Time from sending a batch to its confirmations.
    pub publish_seconds: Histogram,
}

/// Metrics of all relays of a program.
#[derive(Clone, Debug)]
pub(super) struct Relays {
    pub(super) published: IntCounterVec,
    pub(super) rejected: IntCounterVec,
    pub(super) repeated: IntCounterVec,
    pub(super) unconfirmed: IntGaugeVec,
    pub(super) shards: IntGaugeVec,
    pub(super) paused_topics: IntGaugeVec,
    pub(super) publish_seconds: HistogramVec,
}

impl Relays {
    pub(super) fn make() -> prometheus::Result<Self> {
        let label = &["relay"];
        Ok(Self {
            published: counters(names::RELAY_PUBLISHED, "Events confirmed", label)?,
            rejected: counters(names::RELAY_REJECTED, "Events refused for good", label)?,
            repeated: counters(names::RELAY_REPEATED, "Publishes repeated", label)?,
            unconfirmed: gauges(names::RELAY_UNCONFIRMED, "Events sent and not yet answered", label)?,
            shards: gauges(names::RELAY_SHARDS, "Shards of the outbox held", label)?,
            paused_topics: gauges(names::RELAY_PAUSED_TOPICS, "Topics the broker does not take", label)?,
            publish_seconds: times(names::RELAY_PUBLISH_SECONDS, "Sending a batch to its answers", label)?,
        })
    }

    pub(super) fn of(&self, relay: &str) -> RelayMetrics {
        let label = &[relay];
        RelayMetrics {
            published: self.published.with_label_values(label),
            rejected: self.rejected.with_label_values(label),
            repeated: self.repeated.with_label_values(label),
            unconfirmed: self.unconfirmed.with_label_values(label),
            shards: self.shards.with_label_values(label),
            paused_topics: self.paused_topics.with_label_values(label),
            publish_seconds: self.publish_seconds.with_label_values(label),
        }
    }
}
