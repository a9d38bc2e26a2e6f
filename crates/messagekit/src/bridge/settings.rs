//! What a bridge was built with.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use prometheus::IntCounter;

use super::{Duplicates, RoutingKey, Stats};
use crate::Backoff;
use crate::metrics::BridgeMetrics;
use crate::transport::Publisher;

/// How many messages may be unconfirmed at a time.
pub(super) const UNCONFIRMED: usize = 500;
/// How many messages a lane holds before it is paused: more than are unconfirmed, to find enough keys among them.
pub(super) const WINDOW_MESSAGES: usize = 2_000;
/// How many bytes all lanes together hold before they are paused.
pub(super) const WINDOW_BYTES: usize = 16 * 1024 * 1024;
/// How far a lane may run ahead of its first unconfirmed message: what a crash repeats at most.
pub(super) const AHEAD: u64 = 10_000;
/// How long a shutdown or revoke waits for what is unconfirmed.
pub(super) const DRAIN: Duration = Duration::from_secs(10);

/// Waits before a message is published again.
pub(super) fn outage() -> Backoff {
    Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2))
}

/// Waits before a message is offered again to a queue that had no room: each attempt is a copy in the queues beside it.
pub(super) fn no_room() -> Backoff {
    Backoff::new(Duration::from_secs(1), 2.0, Duration::from_secs(30))
}

/// How long no queue may have refused a message until all are said to have room.
pub(super) const ROOM: Duration = Duration::from_secs(10);

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

/// A rule whose template was read.
pub(super) struct Target {
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) routing_key: RoutingKey,
    pub(super) forwarded: IntCounter,
    pub(super) returned: IntCounter,
}

/// Where refused messages go.
pub(super) struct DeadLetterTopic {
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) topic: Arc<str>,
}
