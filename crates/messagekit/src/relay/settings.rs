//! What a relay was built with.

use std::sync::Arc;
use std::time::Duration;

use super::{OutboxReader, Stats};
use crate::Backoff;
use crate::bridge::RoutingKey;
use crate::metrics::RelayMetrics;
use crate::transport::Publisher;

/// How long a shard is this relay's without a renewal.
pub(super) const LEASE: Duration = Duration::from_secs(4);
/// So many renewals fit into a lease.
pub(super) const RENEWALS: u32 = 4;
/// How often a relay looks although nobody woke it.
pub(super) const POLL: Duration = Duration::from_millis(50);
/// How many events a read asks for.
pub(super) const BATCH: u32 = 500;
/// How many calls are in flight before nothing more is read; a batch is one for each of its topics.
pub(super) const CALLS: usize = 4;
/// How many batches may wait to be deleted before nothing more is read.
pub(super) const UNDELETED: usize = 10;
/// How long a stop waits for what is in flight.
pub(super) const DRAIN: Duration = Duration::from_secs(10);
/// How long a stop waits for the database to free the shards; their lease ends anyway.
pub(super) const LEAVE: Duration = Duration::from_secs(2);
/// How often it is asked whether something delayed has become due, where nothing is known to be.
pub(super) const DUE_EVERY: Duration = Duration::from_millis(200);
/// At least so long between two questions for the leases.
pub(super) const LEASES_APART: Duration = Duration::from_millis(10);

/// Waits while a topic, or the database, does not answer.
pub(super) fn outage() -> Backoff {
    Backoff::new(Duration::from_millis(50), 2.0, Duration::from_secs(2))
}

/// Waits while a queue has no room: each attempt is a copy in the queues beside it.
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
    pub(super) metrics: RelayMetrics,
}
