//! How far a consumer has been primed.

use jiff::{SignedDuration, Timestamp};

use super::NextOffset;

/// What a database keeps of the priming of a consumer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Priming {
    /// Counts the primings of the consumer, from 1.
    pub number: u32,
    /// The greatest time of the handled records, in microseconds; `None` before the first record. Records after a restart have no earlier time.
    pub frontier: Option<Timestamp>,
    /// The consumer has all of the past, and reads on from its positions.
    pub is_finished: bool,
}

/// The frontier of a consumer whose group has its positions: behind that of any record.
const IN_GROUP: Timestamp = Timestamp::constant(253_402_207_200, 0);

/// The bit that only key lanes of primings have.
const PAST: u32 = 1 << 31;

impl Priming {
    /// Returns the priming of a number that has handled nothing.
    pub const fn begun(number: u32) -> Self {
        Self { number, frontier: None, is_finished: false }
    }

    /// Returns what a transaction writes that has handled records up to a time.
    #[must_use]
    pub fn until(self, time: Timestamp) -> Self {
        Self { frontier: Some(time.min(IN_GROUP - SignedDuration::from_secs(1))), ..Self::begun(self.number) }
    }

    /// Returns what the last transaction of the priming writes.
    #[must_use]
    pub fn finished(self) -> Self {
        Self { is_finished: true, ..Self::begun(self.number) }
    }

    /// Returns what a database keeps when the group of the consumer at a broker has got the positions: from then on the group's offsets
    /// count, and a group without them has lost them. Another priming ends it.
    #[must_use]
    pub fn in_group(self) -> Self {
        Self { frontier: Some(IN_GROUP), ..self.finished() }
    }

    /// Returns whether the group of the consumer has got the positions.
    pub fn is_in_group(&self) -> bool {
        self.is_finished && self.frontier == Some(IN_GROUP)
    }

    /// Returns what is kept when a transaction writes another value: the frontier never goes back, a finished priming stays finished, and
    /// a value of another number changes nothing.
    #[must_use]
    pub fn then(self, next: Self) -> Self {
        if next.number != self.number {
            return self;
        }
        let frontier = self.frontier.max(next.frontier);
        Self { frontier, is_finished: self.is_finished || next.is_finished, ..self }
    }

    /// Returns the key lane of the priming's own positions, which are kept apart from the positions of the live consumer.
    pub const fn key_lane(&self) -> u32 {
        PAST | self.number
    }

    /// Returns whether a key lane holds the own positions of a priming.
    pub const fn owns(key_lane: u32) -> bool {
        key_lane & PAST != 0
    }

    /// Adds a copy of each live position, in the key lane of the priming.
    pub(crate) fn add_own(&self, positions: &mut Vec<NextOffset>) {
        let own = |position: &NextOffset| NextOffset { key_lane: self.key_lane(), ..position.clone() };
        let own: Vec<NextOffset> = positions.iter().map(own).collect();
        positions.extend(own);
    }
}
