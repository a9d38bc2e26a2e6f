//! How far a consumer has been primed.

use jiff::{SignedDuration, Timestamp};

/// What a database keeps of the priming of a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priming {
    /// The greatest time of what was handled, in microseconds; `None` before the first record. What comes after a restart stands no earlier.
    pub frontier: Option<Timestamp>,
    /// The consumer has all of the past, and reads on from its positions.
    pub is_finished: bool,
}

/// The frontier of a consumer whose group has its positions: behind that of any record.
const IN_GROUP: Timestamp = Timestamp::constant(253_402_207_200, 0);

impl Priming {
    /// What a database keeps when the group of the consumer at a broker has got the positions: from then on the group's offsets count, and
    /// a group without them has lost them. Another priming ends it.
    pub const IN_GROUP: Self = Self { frontier: Some(IN_GROUP), is_finished: true };

    /// Returns whether the group of the consumer has got the positions.
    pub fn is_in_group(&self) -> bool {
        self.is_finished && self.frontier == Some(IN_GROUP)
    }

    /// Returns what a transaction writes that has handled records up to a time.
    pub(crate) fn until(time: Timestamp) -> Self {
        Self { frontier: Some(time.min(IN_GROUP - SignedDuration::from_secs(1))), is_finished: false }
    }

    /// Returns what is kept when a transaction writes another value: the frontier never goes back, and a priming that is finished stays so.
    /// [`Priming::default`] begins another one.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        if next == Self::default() {
            return next;
        }
        Self { frontier: self.frontier.max(next.frontier), is_finished: self.is_finished || next.is_finished }
    }
}
