//! The settings of a relay.

use std::sync::Arc;
use std::time::Duration;

use super::{OutboxReader, Stats};
use crate::Backoff;
use crate::transport::Publisher;
use crate::transport::RoutingKey;

/// Lease of a shard without a renewal.
pub(super) const LEASE: Duration = Duration::from_secs(4);
/// Number of renewals per lease.
pub(super) const RENEWALS: u32 = 4;
/// Poll interval without a notification.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// The most events that a read requests.
pub(super) const BATCH: u32 = 2_000;
/// Number of calls in flight before reading stops; a batch is one call per topic.
pub(super) const CALLS: usize = 4;
/// Number of bytes in flight before reading stops, without those of paused topics. The page before that may add 8 MiB.
pub(super) const IN_FLIGHT: usize = 4 << 20;
/// Number of calls that bytes do not stop: the next page is read while the one before is published.
pub(super) const SIDE_BY_SIDE: usize = 2;
/// Number of batches that may wait for deletion before reading stops.
pub(super) const UNDELETED: usize = 10;
/// Number of events that may wait for deletion, whatever the batch: each is kept in memory with its id.
pub(super) const UNDELETED_EVENTS: usize = 8_000;
/// How long a stop waits for calls in flight.
pub(super) const DRAIN: Duration = Duration::from_secs(10);
/// How long a stop waits for the database to free the shards; their lease ends anyway.
pub(super) const LEAVE: Duration = Duration::from_secs(2);
/// Interval of queries for due events if no due time is known.
pub(super) const DUE_EVERY: Duration = Duration::from_millis(200);
/// Minimum time between two lease requests.
pub(super) const LEASES_APART: Duration = Duration::from_millis(10);

/// Backoff while a topic, or the database, does not answer.
pub(super) fn outage() -> Backoff {
    Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2))
}

/// Backoff while a queue is full: each attempt adds a copy to the queues beside it.
pub(super) fn no_room() -> Backoff {
    Backoff::new(Duration::from_secs(1), 2.0, Duration::from_secs(30))
}

pub(super) struct Settings {
    pub(super) name: Arc<str>,
    pub(super) reader: Arc<dyn OutboxReader>,
    pub(super) publisher: Arc<dyn Publisher>,
    pub(super) routing_key: Option<RoutingKey>,
    pub(super) poll: Duration,
    pub(super) lease: Duration,
    pub(super) batch: u32,
    pub(super) calls: usize,
    pub(super) drain: Duration,
    pub(super) stats: Stats,
}
