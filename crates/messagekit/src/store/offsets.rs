//! The positions of a consumer, stored beside its effects.

use std::sync::Arc;

/// The position behind the last finished record of a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NextOffset {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
    /// The key lane inside the partition; 0 if the partition is not divided. Each key lane has its own row, which avoids lock
    /// contention.
    pub key_lane: u32,
    /// The next offset to read.
    pub next: i64,
}
