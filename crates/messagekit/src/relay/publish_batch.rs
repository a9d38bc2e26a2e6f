//! What goes to the broker in one call.

use std::sync::Arc;

use super::{Pending, PendingId, ShardLease};

/// Events of one topic, in the order in which they were found.
#[derive(Debug)]
pub(super) struct PublishBatch {
    /// Names the part towards [`Shards`](super::shards::Shards).
    pub(super) number: u64,
    pub(super) topic: Arc<str>,
    pub(super) rows: Vec<Row>,
}

/// An event, and the right to publish it.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) lease: ShardLease,
    pub(super) event: Pending,
}

/// Why the broker did not take something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Outage {
    pub(super) error: String,
    /// A queue has no room, which may last, and each attempt has a price.
    pub(super) is_full: bool,
}

/// What became of a part.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) number: u64,
    /// What the broker has confirmed.
    pub(super) confirmed: Vec<PendingId>,
    /// Why the topic is to be left alone for a while.
    pub(super) outage: Option<Outage>,
    /// Shards in which something was refused and is there still: they are read from the beginning.
    pub(super) again: Vec<u16>,
}
