//! The windows of a consumer in the partitions of a topic, as calls change them one after the other before they are written at once.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use messagekit::Error;

use super::claim_id::ClaimHolder;
use super::claim_partition::{ClaimPartition, ClaimPartitions};

/// Offsets with the keys of their records.
pub(super) type Keys = Vec<(i64, Bytes)>;

/// What a decision needs that it does not have.
#[derive(Debug)]
pub(super) enum Stop {
    Error(Error),
    /// The keys of records. The decision is repeated with them.
    Keys {
        partition: i32,
        offsets: Vec<Range<i64>>,
    },
    /// Windows of other partitions that nothing changes meanwhile. The decision is repeated with the windows locked.
    Lock,
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

/// The windows as they are stored, and as they are to be.
#[derive(Debug)]
pub(super) struct Windows {
    /// The time of the database.
    pub(super) now: Timestamp,
    /// When the first failed message of the consumer is due.
    pub(super) failed_due: Option<Timestamp>,
    /// The holders of claims whose process has ended.
    pub(super) ended: Arc<[ClaimHolder]>,
    /// The partition at which claims begin.
    first: usize,
    stored: Vec<ClaimPartition>,
    partitions: Vec<ClaimPartition>,
    /// No other process changes any of them before the commit.
    pub(super) are_locked: bool,
}

impl Windows {
    /// Begins with what is stored. Claims begin at the same partition: those of another process then most likely at another one.
    pub(super) fn new(found: ClaimPartitions, ended: Vec<ClaimHolder>) -> Self {
        let ClaimPartitions { now, failed_due, partitions } = found;
        let first = fastrand::usize(..partitions.len().max(1));
        Self {
            now,
            failed_due,
            ended: ended.into(),
            first,
            stored: partitions.clone(),
            partitions,
            are_locked: true,
        }
    }

    pub(super) fn all(&self) -> &[ClaimPartition] {
        &self.partitions
    }

    pub(super) fn all_mut(&mut self) -> &mut [ClaimPartition] {
        &mut self.partitions
    }

    /// Returns what is known of a partition.
    pub(super) fn own(&mut self, partition: i32) -> Option<&mut ClaimPartition> {
        self.partitions.iter_mut().find(|known| known.bounds.partition == partition)
    }

    /// Returns the partitions in the order in which a claim looks at them.
    pub(super) fn in_turn(&mut self) -> impl Iterator<Item = &mut ClaimPartition> {
        let (behind, from) = self.partitions.split_at_mut(self.first.min(self.stored.len()));
        from.iter_mut().chain(behind)
    }

    /// Decides something, which changes nothing when it fails.
    pub(super) fn attempt<R>(
        &mut self,
        decide: impl FnOnce(&mut Self) -> Result<R, Stop>,
    ) -> Result<R, Stop> {
        let before = self.partitions.clone();
        let decided = decide(self);
        if decided.is_err() {
            self.partitions = before;
        }
        decided
    }

    /// Returns the partitions whose windows are to be written: as they are stored, and as they are to be.
    pub(super) fn changed(&self) -> Vec<(&ClaimPartition, &ClaimPartition)> {
        self.stored.iter().zip(&self.partitions).filter(|(stored, now)| stored != now).collect()
    }
}
