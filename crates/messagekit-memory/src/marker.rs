//! Processed marker in memory.

use jiff::Timestamp;
use messagekit::Claim;

/// Marker of one message of a consumer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Marker {
    /// The result of later claims.
    pub(super) claim: Claim,
    pub(super) generation: i32,
    /// Time of its commit.
    pub(super) processed_at: Timestamp,
}

impl Marker {
    /// Creates a marker for an open transaction; the commit sets its time.
    pub(super) fn new(claim: Claim, generation: i32) -> Self {
        Self { claim, generation, processed_at: Timestamp::MAX }
    }

    /// Returns whether a claim of a generation is fresh. When a range is processed again, messages applied under a
    /// smaller generation are applied once more.
    pub(super) fn yields_to(self, generation: i32) -> bool {
        self.claim == Claim::Done && self.generation < generation
    }
}
