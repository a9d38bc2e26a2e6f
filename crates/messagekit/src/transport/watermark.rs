//! The contiguous settled prefix of a lane.

use std::collections::VecDeque;

/// Tracks delivered and settled positions of one lane and returns the end of the contiguous settled prefix.
///
/// It has no clock and no lock. Positions increase and may have gaps, as in a compacted topic; a gap does not stop the prefix.
///
/// ```
/// use messagekit::adapter::Watermark;
///
/// let mut lane = Watermark::new();
/// for offset in [10, 11, 13] {
///     lane.delivered(offset);
/// }
/// assert!(lane.settled(11));
/// assert_eq!(lane.finished(), None);
/// assert!(lane.settled(10));
/// assert_eq!(lane.finished(), Some(11));
/// ```
#[derive(Clone, Debug, Default)]
pub struct Watermark {
    /// Positions that are delivered and not yet part of the prefix, with true for settled.
    open: VecDeque<(u64, bool)>,
    finished: Option<u64>,
}

impl Watermark {
    /// Creates a watermark for a lane without deliveries.
    pub fn new() -> Self {
        Self::default()
    }

    /// Records a delivery. Positions must increase.
    pub fn delivered(&mut self, position: u64) {
        debug_assert!(
            self.open.back().is_none_or(|(last, _)| *last < position),
            "deliveries of a lane come in order"
        );
        self.open.push_back((position, false));
    }

    /// Records that a position is settled. Returns false if it was not delivered or is already settled.
    pub fn settled(&mut self, position: u64) -> bool {
        let Ok(index) = self.open.binary_search_by_key(&position, |(known, _)| *known) else {
            return false;
        };
        if std::mem::replace(&mut self.open[index].1, true) {
            return false;
        }
        while let Some((position, true)) = self.open.front() {
            self.finished = Some(*position);
            self.open.pop_front();
        }
        true
    }

    /// Returns the last position of the settled prefix, or `None` if the prefix is empty.
    pub fn finished(&self) -> Option<u64> {
        self.finished
    }

    /// Returns the first position that is delivered and not settled.
    pub fn first_unsettled(&self) -> Option<u64> {
        self.open.front().map(|(position, _)| *position)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]
        #[test]
        fn finished_is_what_a_naive_model_says(
            gaps in prop::collection::vec(1_u64..4, 1..40),
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..80),
        ) {
            let mut next = 0;
            let positions: Vec<u64> = gaps.iter().map(|gap| { next += gap; next }).collect();
            let mut watermark = Watermark::new();
            positions.iter().for_each(|position| watermark.delivered(*position));
            let mut settled = BTreeSet::new();
            for index in order {
                let position = positions[index.index(positions.len())];
                prop_assert_eq!(watermark.settled(position), settled.insert(position));
                let prefix = positions.iter().take_while(|position| settled.contains(position)).last().copied();
                prop_assert_eq!(watermark.finished(), prefix);
                let open = positions.iter().find(|position| !settled.contains(position)).copied();
                prop_assert_eq!(watermark.first_unsettled(), open);
            }
            prop_assert!(!watermark.settled(next + 1));
        }
    }
}
