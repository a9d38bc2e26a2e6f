//! What a merge knows of one partition.

use std::collections::VecDeque;

use jiff::Timestamp;

use super::merge_record::MergeRecord;

/// Whether a partition holds the others back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It may bring records of the past.
    Open,
    /// It may, and the others do not wait for it.
    Idle,
    /// It has brought all of its past.
    Ended,
}

/// A partition of a [`MergeCore`](super::MergeCore).
#[derive(Debug)]
pub struct MergePartition<R> {
    pub(super) phase: Phase,
    pub(super) frontier: Option<Timestamp>,
    /// Its entry among the open partitions.
    pub(super) entry: Option<(Option<Timestamp>, usize)>,
    pub(super) waiting: VecDeque<MergeRecord<R>>,
    pub(super) consumed: Option<i64>,
    pub(super) consumed_at: Option<Timestamp>,
    pub(super) released: Option<i64>,
    pub(super) is_paused: bool,
}

impl<R> MergePartition<R> {
    pub(super) fn unseen(index: usize) -> Self {
        Self {
            phase: Phase::Open,
            frontier: None,
            entry: Some((None, index)),
            waiting: VecDeque::new(),
            consumed: None,
            consumed_at: None,
            released: None,
            is_paused: false,
        }
    }

    /// Returns whether all of its past is released.
    pub fn is_live(&self) -> bool {
        self.has_ended() && self.waiting.is_empty()
    }

    /// Returns whether it has brought all of its past.
    pub fn has_ended(&self) -> bool {
        self.phase == Phase::Ended
    }

    /// Returns whether the others do not wait for it, although it has not ended.
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Idle
    }

    /// Returns whether it is not read for now.
    pub fn is_paused(&self) -> bool {
        self.is_paused
    }

    /// Returns the greatest time that it has shown.
    pub fn frontier(&self) -> Option<Timestamp> {
        self.frontier
    }

    /// Returns the offset of its last record that came in.
    pub fn consumed(&self) -> Option<i64> {
        self.consumed
    }

    /// Returns the own time of the last record that had one.
    pub fn consumed_at(&self) -> Option<Timestamp> {
        self.consumed_at
    }

    /// Returns the offset of its last record that went out.
    pub fn released(&self) -> Option<i64> {
        self.released
    }
}
