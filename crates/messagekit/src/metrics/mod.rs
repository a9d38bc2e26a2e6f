//! Prometheus metrics of running programs.
//!
//! Names and labels are in [`names`]. Labels have few values: names of consumers, databases and exchanges, never a key,
//! an id or a message's type.
//!
//! ```
//! # use messagekit::memory::{MemoryLog, MemoryStore, MemoryTx};
//! # use messagekit::{Consumer, Envelope, Event, HandlerError};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Event, Serialize, Deserialize)]
//! # #[event(type = "orders.order.placed", key = "order_id")]
//! # struct OrderPlaced { order_id: String }
//! # async fn bill(_: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> { Ok(()) }
//! use messagekit::metrics::{self, Metrics};
//!
//! let registry = prometheus::Registry::new();
//! let metrics = Metrics::new(&registry)?;
//! # let (log, store) = (MemoryLog::new(1), MemoryStore::new());
//! let billing = Consumer::builder("billing", store).from(log.topics(["orders.order"])).on(bill).build()?;
//! metrics.watch("billing", billing.stats());
//! assert!(metrics::text(&registry).contains(r#"messagekit_consumer_handled_total{consumer="billing",outcome="handled"} 0"#));
//! # Ok::<(), messagekit::Error>(())
//! ```

mod bridge;
pub mod names;
mod relay;
mod watched;

use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts,
    Registry, TextEncoder,
};

pub use bridge::BridgeMetrics;
pub use relay::RelayMetrics;
use relay::Relays;
use watched::Watched;

use crate::failed_messages::FailedMessageTotal;
use crate::outbox_health::OutboxLag;
use crate::{Error, ErrorKind, Stats};

/// Upper bounds of time buckets in seconds: from half a millisecond to half a minute.
pub(crate) const SECONDS: [f64; 15] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Holds the metrics of one program; cloning is cheap, and all clones share the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    watched: Watched,
    gate_state: IntGaugeVec,
    gate_wait: CounterVec,
    forwarded: IntCounterVec,
    returned: IntCounterVec,
    dead_lettered: IntCounterVec,
    duplicates: IntCounterVec,
    repeated: IntCounterVec,
    unconfirmed: IntGaugeVec,
    blocked: IntGaugeVec,
    confirm_seconds: HistogramVec,
    relay: Relays,
    kept: IntCounterVec,
    request_seconds: HistogramVec,
}

impl Metrics {
    /// Creates the metrics and registers them.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] if the registry already contains these names.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        Self::make(registry).map_err(|error| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "the figures cannot be registered: make them once per registry",
            )
            .caused_by(error)
        })
    }

    fn make(registry: &Registry) -> prometheus::Result<Self> {
        let metrics = Self {
            watched: Watched::new()?,
            gate_state: gauges(
                names::GATE_STATE,
                "0 lets through, 1 probes, 2 holds back",
                &["consumer", "gate"],
            )?,
            gate_wait: CounterVec::new(
                Opts::new(names::GATE_WAIT_SECONDS, "Time that a gate held back"),
                &["consumer", "gate"],
            )?,
            forwarded: counters(names::BRIDGE_FORWARDED, "Messages confirmed", &["bridge", "exchange"])?,
            returned: counters(names::BRIDGE_RETURNED, "Messages no queue wanted", &["bridge", "exchange"])?,
            dead_lettered: counters(
                names::BRIDGE_DEAD_LETTERED,
                "Messages set aside",
                &["bridge", "reason"],
            )?,
            duplicates: counters(
                names::BRIDGE_DUPLICATES,
                "Messages passed over as duplicates",
                &["bridge"],
            )?,
            repeated: counters(names::BRIDGE_REPEATED, "Publishes repeated", &["bridge"])?,
            unconfirmed: gauges(
                names::BRIDGE_UNCONFIRMED,
                "Messages sent and not yet confirmed",
                &["bridge"],
            )?,
            blocked: gauges(
                names::BRIDGE_BLOCKED,
                "1 while RabbitMQ takes or confirms nothing",
                &["bridge"],
            )?,
            confirm_seconds: times(names::BRIDGE_CONFIRM_SECONDS, "Sending to confirmation", &["bridge"])?,
            relay: Relays::make()?,
            kept: counters(names::BOOKKEEPER_KEPT, "Messages written down", &["source", "kind"])?,
            request_seconds: times(
                names::ADMIN_REQUEST_SECONDS,
                "Time of requests to the admin",
                &["method", "route", "status"],
            )?,
        };
        let Self { watched, gate_state, gate_wait, forwarded, returned, dead_lettered, .. } = metrics.clone();
        let Self {
            duplicates,
            repeated,
            unconfirmed,
            blocked,
            confirm_seconds,
            relay,
            kept,
            request_seconds,
            ..
        } = metrics.clone();
        let all: [Box<dyn Collector>; 20] = [
            Box::new(watched),
            Box::new(gate_state),
            Box::new(gate_wait),
            Box::new(forwarded),
            Box::new(returned),
            Box::new(dead_lettered),
            Box::new(duplicates),
            Box::new(repeated),
            Box::new(unconfirmed),
            Box::new(blocked),
            Box::new(confirm_seconds),
            Box::new(relay.published),
            Box::new(relay.rejected),
            Box::new(relay.repeated),
            Box::new(relay.unconfirmed),
            Box::new(relay.shards),
            Box::new(relay.paused_topics),
            Box::new(relay.publish_seconds),
            Box::new(kept),
            Box::new(request_seconds),
        ];
        all.into_iter().try_for_each(|one| registry.register(one))?;
        Ok(metrics)
    }

    /// Adds a consumer to the metrics. Consumers of the same name are summed.
    pub fn watch(&self, consumer: &str, stats: Stats) {
        self.watched.consumer(consumer, stats);
    }

    /// Sets the metrics of an outbox from a measurement and marks the database as up.
    pub fn outbox(&self, database: &str, lag: &OutboxLag) {
        self.watched.database(database, |known| known.lag = Some(lag.clone()));
    }

    /// Replaces the number of failed messages of a database and marks the database as up.
    pub fn failed_messages(&self, database: &str, totals: &[FailedMessageTotal]) {
        self.watched.database(database, |known| known.failed_messages = totals.to_vec());
    }

    /// Marks a database as down and removes its other metrics.
    pub fn unreachable(&self, database: &str) {
        self.watched.lost(database);
    }

    /// Returns the gauge of a gate's state: 0 lets messages pass, 1 probes, 2 holds messages back.
    pub fn gate_state(&self, consumer: &str, gate: &str) -> IntGauge {
        self.gate_state.with_label_values(&[consumer, gate])
    }

    /// Returns the counter of the seconds that a gate held messages back.
    pub fn gate_wait(&self, consumer: &str, gate: &str) -> Counter {
        self.gate_wait.with_label_values(&[consumer, gate])
    }

    /// Returns the metrics of a bridge.
    pub fn bridge(&self, bridge: &str) -> BridgeMetrics {
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

    /// Returns the metrics of a relay.
    pub fn relay(&self, relay: &str) -> RelayMetrics {
        self.relay.of(relay)
    }

    /// Returns the counter of messages that the bookkeeper recorded; `source` is the queue or topic.
    pub fn kept(&self, source: &str, kind: &str) -> IntCounter {
        self.kept.with_label_values(&[source, kind])
    }

    /// Counts a request to the admin; `route` is the route's pattern, never the requested path.
    pub fn request(&self, method: &str, route: &str, status: u16, took: Duration) {
        let status = status.to_string();
        self.request_seconds.with_label_values(&[method, route, &*status]).observe(took.as_secs_f64());
    }
}

/// Returns the content of a registry in the Prometheus text format.
pub fn text(registry: &Registry) -> String {
    let mut text = String::new();
    if let Err(error) = TextEncoder::new().encode_utf8(&registry.gather(), &mut text) {
        // Only a collector of the program can be empty; those of messagekit never are.
        tracing::warn!(%error, "figures cannot be written");
    }
    text
}

fn counters(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels)
}

fn gauges(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels)
}

fn times(name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
    HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)
}
