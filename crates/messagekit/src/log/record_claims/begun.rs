//! A claim that is made, and its records.

use jiff::Timestamp;

use super::claim::{Claimed, ClaimedRecord};
use super::claim_id::RecordClaimId;
use super::window::ClaimedRanges;

/// A claim that is made.
pub(super) struct Begun {
    pub(super) id: RecordClaimId,
    pub(super) partition: i32,
    pub(super) until: Timestamp,
    pub(super) claimed: ClaimedRanges,
    /// The most bytes of its records.
    pub(super) max_bytes: usize,
    /// Its records, if they were read with those of others.
    pub(super) read: Option<Read>,
}

/// Why no claim was made.
pub(super) enum NotBegun {
    Answer(Claimed),
    /// A failed message of the consumer is due, and comes first.
    FailedMessage,
}

/// Records of a claim that were read.
pub(super) struct Read {
    pub(super) records: Vec<ClaimedRecord>,
    /// There may be more, which were not read.
    pub(super) is_cut: bool,
}
