//! The partitions of a topic as a claim sees them, and what it makes of them.

use jiff::Timestamp;
use messagekit::log::Bounds;

use super::window::ClaimWindow;

/// A partition with what a consumer has claimed in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPartition {
    /// The partition and its offsets.
    pub bounds: Bounds,
    /// The claims.
    pub window: ClaimWindow,
    /// The consumer has no window in it yet, and this one begins at the earliest record.
    pub is_new: bool,
}

/// The partitions of a topic as the transaction of a claim sees them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimPartitions {
    /// The time of the database.
    pub now: Timestamp,
    /// When the first failed message of the consumer is due, of whichever topic; `None` if no retry is planned.
    pub failed_due: Option<Timestamp>,
    /// The partitions, in order.
    pub partitions: Vec<ClaimPartition>,
}

/// What to do with windows that were seen without a lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WindowDecision {
    /// Nothing: they stay as they are.
    Keep,
    /// Write one of them, if it is still the one that was seen.
    Replace(WindowReplacement),
    /// It takes a transaction that locks them.
    Lock,
}

/// A window that takes the place of another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowReplacement {
    /// The partition.
    pub partition: i32,
    /// The window as it was seen.
    pub from: ClaimWindow,
    /// The new one.
    pub to: ClaimWindow,
}
