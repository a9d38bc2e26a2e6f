//! Settings of a bridge.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use messagekit::Backoff;
use messagekit::adapter::{Publisher, RoutingKey};
use messagekit_prometheus::BridgeMetrics;
use prometheus::IntCounter;

use super::{Duplicates, Stats};

/// Maximum number of messages in flight.
pub(super) const UNCONFIRMED: usize = 500;
/// Number of messages in a lane at which it pauses: more than are in flight, to find enough keys.
pub(super) const WINDOW_MESSAGES: usize = 2_000;
/// Total bytes in all lanes at which they pause.
pub(super) const WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// Maximum distance of a lane from its first unconfirmed message: a crash repeats at most this many.
pub(super) const AHEAD: u64 = 10_000;
/// How long a shutdown or revocation waits for messages in flight.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

/// Delays before a message is published again.
pub(super) fn outage() -> Backoff {
    Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2))
}

/// Delays before a message is retried on a full queue: each attempt adds a copy to the other bound queues.
pub(super) fn no_room() -> Backoff {
    Backoff::new(Duration::from_secs(1), 2.0, Duration::from_secs(30))
}

pub(super) struct Settings {
    pub(super) name: Arc<str>,
    pub(super) targets: Vec<Target>,
    pub(super) by_topic: HashMap<Arc<str>, usize>,
    pub(super) dead_letters: DeadLetterTopic,
    pub(super) retry_topic: Arc<str>,
    pub(super) unconfirmed: usize,
    pub(super) drain: Duration,
    pub(super) duplicates: Option<Arc<dyn Duplicates>>,
    pub(super) stats: Stats,
    pub(super) metrics: BridgeMetrics,
}

/// A rule with its parsed template.
pub(super) struct Target {
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) routing_key: RoutingKey,
    pub(super) forwarded: IntCounter,
    pub(super) returned: IntCounter,
}

/// The target of rejected messages.
pub(super) struct DeadLetterTopic {
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) topic: Arc<str>,
}
