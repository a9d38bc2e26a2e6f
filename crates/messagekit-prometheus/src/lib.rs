//! Prometheus metrics of running programs.
//!
//! Names and labels are in [`names`]. Labels have few values: names of consumers, topics, databases and exchanges, never a key,
//! an id or a message's type.
//!
//! ```
//! # use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
//! # use messagekit::{Consumer, Envelope, Event, HandlerError};
//! # use serde::{Deserialize, Serialize};
//! # #[derive(Event, Serialize, Deserialize)]
//! # #[event(type = "orders.order.placed", key = "order_id")]
//! # struct OrderPlaced { order_id: String }
//! # async fn bill(_: &mut MemoryTx, _: Envelope<OrderPlaced>) -> Result<(), HandlerError> { Ok(()) }
//! use messagekit_prometheus::Metrics;
//!
//! let registry = prometheus::Registry::new();
//! let metrics = Metrics::new(&registry)?;
//! # let (log, store) = (MemoryLog::new(1), MemoryStore::new());
//! let billing = Consumer::builder("billing", store).from(log.topics(["orders.order"])).on(bill).build()?;
//! metrics.consumer("billing", billing.stats());
//! assert!(messagekit_prometheus::text(&registry).contains(r#"messagekit_consumer_handled_total{consumer="billing",outcome="handled"} 0"#));
//! # Ok::<(), messagekit::Error>(())
//! ```

mod bridge;
mod collector;
mod consumer;
mod database;
mod family;
mod gate;
pub mod names;
mod ordered_reader;
mod relay;
mod telemetry;

use std::time::Duration;

use messagekit::gate::GateStates;
use messagekit::log::OrderedStats;
use messagekit::operations::{ConsumerStatus, FailedMessageTotal, OutboxLag, SourceState};
use messagekit::{Error, ErrorKind, Stats, relay as relays};
use prometheus::core::Collector;
use prometheus::{HistogramVec, IntCounter, IntCounterVec, Opts, Registry, TextEncoder};

pub use bridge::BridgeMetrics;
use bridge::Bridges;
use collector::Watched;
use database::Waiting;
use family::durations;

/// Holds the metrics of one program; cloning is cheap, and all clones share the same metrics.
#[derive(Clone, Debug)]
pub struct Metrics {
    watched: Watched,
    bridges: Bridges,
    kept: IntCounterVec,
    request_seconds: HistogramVec,
}

impl Metrics {
    /// Creates the metrics and registers them.
    ///
    /// # Errors
    /// Returns [`ErrorKind::InvalidConfiguration`] if the registry already contains these names.
    pub fn new(registry: &Registry) -> Result<Self, Error> {
        Self::register(registry).map_err(|error| {
            Error::new(
                ErrorKind::InvalidConfiguration,
                "metrics cannot be registered: make them once per registry",
            )
            .caused_by(error)
        })
    }

    fn register(registry: &Registry) -> prometheus::Result<Self> {
        let kept = Opts::new(names::BOOKKEEPER_KEPT, "Broker dead letters that were recorded");
        let request = durations(names::ADMIN_REQUEST_SECONDS, "Time of requests to the admin");
        let metrics = Self {
            watched: Watched::new()?,
            bridges: Bridges::new()?,
            kept: IntCounterVec::new(kept, &["source", "kind"])?,
            request_seconds: HistogramVec::new(request, &["method", "route", "status"])?,
        };
        let Self { watched, bridges, kept, request_seconds } = metrics.clone();
        let own: [Box<dyn Collector>; 3] = [Box::new(watched), Box::new(kept), Box::new(request_seconds)];
        own.into_iter().chain(bridges.collectors()).try_for_each(|each| registry.register(each))?;
        Ok(metrics)
    }

    /// Adds a consumer and its gates, once for each that is built; it is kept as long as these metrics. Consumers of the same
    /// name are summed.
    pub fn consumer(&self, consumer: &str, stats: Stats) {
        self.watched.known().consumers.entry(consumer.to_owned()).or_default().push(stats);
    }

    /// Adds a relay, once for each that is built; it is kept as long as these metrics. Relays of the same name are summed.
    pub fn relay(&self, relay: &str, stats: relays::Stats) {
        self.watched.known().relays.entry(relay.to_owned()).or_default().push(stats);
    }

    /// Adds an ordered reader, once for each builder; it is kept as long as these metrics. Readers of the same name are summed.
    pub fn ordered_reader(&self, reader: &str, stats: OrderedStats) {
        self.watched.known().ordered_readers.entry(reader.to_owned()).or_default().push(stats);
    }

    /// Adds the gates of a loop that is not a consumer, under the loop's name.
    pub fn gates(&self, name: &str, gates: GateStates) {
        self.watched.known().gates.entry(name.to_owned()).or_default().push(gates);
    }

    /// Sets the metrics of an outbox from a measurement and marks the database as up.
    pub fn outbox(&self, database: &str, lag: &OutboxLag) {
        self.watched.known().database(database).lag = Some(lag.clone());
    }

    /// Removes the metrics of an outbox that could not be measured and marks the database as up, because it answered otherwise.
    pub fn outbox_unknown(&self, database: &str) {
        self.watched.known().database(database).lag = None;
    }

    /// Replaces the number of failed messages of a database and marks the database as up.
    pub fn failed_messages(&self, database: &str, totals: &[FailedMessageTotal]) {
        self.watched.known().database(database).failed_messages = totals.to_vec();
    }

    /// Replaces what waits at the consumers of a database and marks the database as up.
    pub fn consumer_statuses(&self, database: &str, statuses: &[ConsumerStatus]) {
        self.watched.known().database(database).consumers = statuses.iter().map(Waiting::of).collect();
    }

    /// Replaces the table sources of a database and marks the database as up.
    pub fn source_states(&self, database: &str, sources: &[SourceState]) {
        self.watched.known().database(database).sources = sources.to_vec();
    }

    /// Marks a database as down and removes its other metrics.
    pub fn unreachable(&self, database: &str) {
        self.watched.known().lost(database);
    }

    /// Returns the metrics of a bridge.
    pub fn bridge(&self, bridge: &str) -> BridgeMetrics {
        self.bridges.of(bridge)
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
        tracing::warn!(%error, "metrics cannot be written");
    }
    text
}
