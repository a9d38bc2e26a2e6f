//! How far a lane is finished without a gap.

use std::collections::VecDeque;

/// Follows delivered and settled positions of one lane and answers the end of the contiguous settled prefix.
///
/// Pure: no clock, no lock. Positions grow and may have gaps (a compacted topic); a gap holds nothing back.
///
/// ```
/// use messagekit::Watermark;
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
    /// Delivered and not yet part of the prefix; true = settled.
    open: VecDeque<(u64, bool)>,
    finished: Option<u64>,
}

impl Watermark {
    /// Makes one for a lane of which nothing was delivered.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a delivery; positions come in growing order.
    pub fn delivered(&mut self, position: u64) {
        debug_assert!(
            self.open.back().is_none_or(|(last, _)| *last < position),
            "deliveries of a lane come in order"
        );
        self.open.push_back((position, false));
    }

    /// Notes that a position is settled. Returns false when it was not delivered or is settled already.
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

    /// Returns the last position of the settled prefix, or `None` when nothing is finished.
    pub fn finished(&self) -> Option<u64> {
        self.finished
    }

    /// Returns the first position that was delivered and is not settled.
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
