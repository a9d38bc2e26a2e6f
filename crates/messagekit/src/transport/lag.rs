//! What a consumer has not settled yet, as the backend tells it.

use std::sync::Arc;
use std::time::Duration;

use crate::Error;
use crate::store::BoxFuture;

/// The lag of a partition, or of a queue without partitions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartitionLag {
    /// The topic or queue.
    pub topic: Arc<str>,
    /// The partition; `None` for a queue.
    pub partition: Option<i32>,
    /// The number of records that are not settled, those in work included.
    pub messages: u64,
    /// The age of the oldest of them; zero if there are none. The adapter documents from when it counts.
    pub oldest: Duration,
}

/// Reads the lag of the lanes that a subscriber owns.
pub trait LagProbe: Send + Sync {
    /// Returns the lag of every partition that the subscriber owns now, whether it is paused, idle or at work; none after the
    /// subscriber was closed. The sum over all members of a consumer is its whole lag.
    ///
    /// The answer must delay neither deliveries nor a rebalance: requests use no connection of the subscriber.
    ///
    /// # Errors
    /// A transient error if the backend does not answer in time: retry.
    fn lag(&self) -> BoxFuture<'_, Result<Vec<PartitionLag>, Error>>;
}
