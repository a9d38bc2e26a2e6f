//! What a merge brings into order.

use jiff::Timestamp;

/// A record on its way through a [`MergeCore`](super::MergeCore).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MergeRecord<R> {
    /// The index of its partition.
    pub partition: usize,
    /// Its offset.
    pub offset: i64,
    /// Its own time, if it has one. What [`take`](super::MergeCore::take) returns has the time that orders it.
    pub time: Option<Timestamp>,
    /// How many bytes it counts in the buffer.
    pub bytes: usize,
    /// What is merged.
    pub record: R,
}
