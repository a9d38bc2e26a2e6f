//! Where a partition starts.

use std::sync::Arc;

use super::offsets::Partition;
use super::proof::{Fingerprint, Positions};
use super::start_position::StartPosition;

/// Where a partition starts.
pub(super) struct Start {
    pub(super) partition: Partition,
    /// How the offset was chosen.
    pub(super) place: StartPosition,
    pub(super) offset: i64,
    /// The record before the offset, if it is known.
    pub(super) last: Option<Fingerprint>,
    /// The positions that the database remembers of the partition.
    pub(super) remembered: Positions,
    /// The id of the topic in which the offset was committed, if it is known.
    pub(super) topic_id: Option<Arc<str>>,
}

impl Start {
    /// Returns the group's offset, if the lane starts there and its metadata holds the database's positions.
    /// Otherwise the start is committed before anything is delivered. The group would otherwise stay ahead of the
    /// records that are read again, or keep metadata that this database never had.
    pub(super) fn committed(&self) -> Option<i64> {
        match self.place {
            StartPosition::Committed(offset) => Some(offset),
            _ => None,
        }
    }
}
