//! The events of one call to the broker.

use std::sync::Arc;

use super::{Pending, PendingId, ShardLease};

/// Events of one topic, in the order in which they were found.
#[derive(Debug)]
pub(super) struct PublishBatch {
    /// Identifies the batch in [`Shards`](super::shards::Shards).
    pub(super) number: u64,
    pub(super) topic: Arc<str>,
    pub(super) rows: Vec<Row>,
}

/// An event and the lease that allows publishing it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) lease: ShardLease,
    pub(super) event: Pending,
}

/// The reason why the broker did not accept events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) error: String,
    /// A queue is full. This may last, and each attempt adds copies.
    pub(super) is_full: bool,
}

/// The result of a batch.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) number: u64,
    /// Events that the broker has confirmed.
    pub(super) confirmed: Vec<PendingId>,
    /// The reason to pause the topic.
    pub(super) outage: Option<Outage>,
    /// Shards with rejected events that are still in the outbox: they are read from the beginning.
    pub(super) again: Vec<u16>,
}
