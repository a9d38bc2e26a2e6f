//! A claim that is made, and its records.

use jiff::Timestamp;

use super::claim::{Claimed, ClaimedRecord};
use super::claim_id::RecordClaimId;
use super::window::ClaimedRanges;

/// A claim that is made.
pub(super) struct ClaimGrant {
    pub(super) id: RecordClaimId,
    pub(super) partition: i32,
    pub(super) until: Timestamp,
    pub(super) claimed: ClaimedRanges,
    /// The most bytes of its records.
    pub(super) max_bytes: usize,
    /// Its records, if they were read with those of others.
    pub(super) read: Option<Read>,
}

/// When a claim looks for failed messages that are due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FailedTurn {
    /// Before the records of the log.
    First,
    /// When the log has no records for it.
    Last,
    /// Not again: there were none.
    Over,
}

impl FailedTurn {
    /// Returns one of the first two: many failed messages hold back no records, nor many records failed messages.
    pub(super) fn any() -> Self {
        if fastrand::bool() { Self::First } else { Self::Last }
    }
}

/// Why no claim was made.
pub(super) enum NotGranted {
    Answer(Claimed),
    /// A failed message of the consumer is due, and it is its turn.
    FailedMessage,
}

/// Records of a claim that were read.
pub(super) struct Read {
    pub(super) records: Vec<ClaimedRecord>,
    /// There may be more, which were not read.
    pub(super) is_cut: bool,
}
