//! What bounds a merge.

use std::time::Duration;

use jiff::Timestamp;

/// The bounds and rules of a [`MergeCore`](super::MergeCore).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MergeSettings {
    /// How many records are held, besides one of each partition.
    pub max_records: usize,
    /// How many bytes they have, besides one record of each partition.
    pub max_bytes: usize,
    /// Nothing later than this time is released before every partition has reached it, or its end.
    pub cutoff: Option<Timestamp>,
    /// How long a partition may bring nothing, while it is read, before the others stop waiting for it; without one they wait.
    pub idle_timeout: Option<Duration>,
    /// How far ahead of the clock a time may lie. A later one counts as this, so that one wrong clock cannot stop all others.
    pub max_ahead: Duration,
}

/// 50,000 records, 256 MiB, no cutoff, no idle time-out, and an hour ahead.
impl Default for MergeSettings {
    fn default() -> Self {
        Self {
            max_records: 50_000,
            max_bytes: 256 << 20,
            cutoff: None,
            idle_timeout: None,
            max_ahead: Duration::from_secs(3_600),
        }
    }
}
