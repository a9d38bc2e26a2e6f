//! How far a consumer has been primed.

use jiff::Timestamp;

/// What a database keeps of the priming of a consumer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Priming {
    /// The greatest time of what was handled, in microseconds; `None` before the first record. What comes after a restart stands no earlier.
    pub frontier: Option<Timestamp>,
    /// The consumer has all of the past, and reads on from its positions.
    pub is_finished: bool,
}

impl Priming {
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
