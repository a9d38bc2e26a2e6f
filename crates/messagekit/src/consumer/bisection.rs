//! How a batch is cut into transactions when something in it fails.

use std::ops::Range;

/// Cuts a batch into ranges, each to be tried in one transaction. Pure: no clock, no store.
///
/// Ranges come in order, so what is finished is always a prefix. A known culprit ends the next range, where the caller sets
/// it aside together with what stood before it; when the culprit is unknown, the range is halved.
#[derive(Debug)]
pub(crate) struct Bisection {
    next: usize,
    end: usize,
    /// Ends of coming ranges, nearest last.
    cuts: Vec<usize>,
}

impl Bisection {
    pub(crate) fn new(messages: usize) -> Self {
        Self { next: 0, end: messages, cuts: Vec::new() }
    }

    /// Returns the range to try now, or `None` when everything is finished.
    pub(crate) fn range(&self) -> Option<Range<usize>> {
        let end = self.cuts.last().copied().unwrap_or(self.end).min(self.end);
        (self.next < end).then_some(self.next..end)
    }

    /// Returns how many messages from the front are finished.
    pub(crate) fn finished(&self) -> usize {
        self.next
    }

    /// The range was committed as far as `through`.
    pub(crate) fn committed(&mut self, through: usize) {
        self.next = through;
        while self.cuts.last().is_some_and(|cut| *cut <= through) {
            self.cuts.pop();
        }
    }

    /// The message at `index` ends the next range: it failed and will be set aside, or runs with nothing behind it.
    pub(crate) fn ends_with(&mut self, index: usize) {
        self.cuts.push(index + 1);
    }

    /// The message at `index` is tried by itself, after what stands before it.
    pub(crate) fn alone(&mut self, index: usize) {
        self.cuts.push(index + 1);
        if index > self.next {
            self.cuts.push(index);
        }
    }

    /// Nothing from `index` on is tried in this batch run.
    pub(crate) fn stop_before(&mut self, index: usize) {
        self.end = index;
    }

    /// The range failed and the culprit is unknown. Returns false when it holds one message, which is to blame then.
    pub(crate) fn halve(&mut self) -> bool {
        let Some(range) = self.range() else { return false };
        if range.len() > 1 {
            self.cuts.push(range.start + range.len() / 2);
        }
        range.len() > 1
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    /// What a message does to its transaction.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        Good,
        /// Its handler says so.
        Fails,
        /// It swallows an error: the transaction fails at its end.
        Swallows,
    }

    fn kinds() -> impl Strategy<Value = Vec<Kind>> {
        let kind = prop_oneof![8 => Just(Kind::Good), 1 => Just(Kind::Fails), 1 => Just(Kind::Swallows)];
        prop::collection::vec(kind, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        /// Against the model "each message by itself": the same are applied, the same are apart, each once and in order.
        #[test]
        fn splitting_ends_as_handling_one_by_one_would(kinds in kinds(), stops in prop::collection::vec(1_usize..9, 0..90)) {
            let mut split = Bisection::new(kinds.len());
            let mut apart = BTreeSet::new();
            let mut order = Vec::new();
            let mut stops = stops.into_iter();
            let mut tries = 0;
            while let Some(range) = split.range() {
                tries += 1;
                prop_assert!(tries < 20 * (kinds.len() + 1), "does not end");
                let first_failure = range.clone().find(|i| kinds[*i] == Kind::Fails && !apart.contains(i));
                if let Some(index) = first_failure {
                    apart.insert(index);
                    split.ends_with(index);
                } else if range.clone().any(|i| kinds[i] == Kind::Swallows && !apart.contains(&i)) {
                    if !split.halve() {
                        apart.insert(range.start);
                    }
                } else {
                    // The time inside handlers may end a batch early.
                    let through = (range.start + stops.next().unwrap_or(usize::MAX).min(range.len())).min(range.end);
                    order.extend(range.start..through);
                    split.committed(through);
                }
                prop_assert_eq!(split.finished(), order.len());
            }
            prop_assert_eq!(order, (0..kinds.len()).collect::<Vec<_>>());
            let bad: BTreeSet<usize> = (0..kinds.len()).filter(|i| kinds[*i] != Kind::Good).collect();
            prop_assert_eq!(apart, bad);
        }

        #[test]
        fn a_known_failure_costs_at_most_two_transactions(failing in prop::collection::btree_set(0_usize..50, 0..20)) {
            let mut split = Bisection::new(50);
            let mut apart = BTreeSet::new();
            let mut tries = 0;
            while let Some(range) = split.range() {
                tries += 1;
                match range.clone().find(|i| failing.contains(i) && !apart.contains(i)) {
                    Some(index) => { apart.insert(index); split.ends_with(index); }
                    None => split.committed(range.end),
                }
            }
            prop_assert!(tries <= 2 * failing.len() + 1);
        }
    }

    #[test]
    fn a_message_alone_follows_what_stands_before_it() {
        let mut split = Bisection::new(10);
        split.alone(4);
        for wanted in [0..4, 4..5, 5..10] {
            assert_eq!(split.range(), Some(wanted.clone()));
            split.committed(wanted.end);
        }
        assert_eq!(split.range(), None);
    }

    #[test]
    fn stopping_before_a_message_leaves_it_and_the_rest() {
        let mut split = Bisection::new(10);
        split.stop_before(4);
        assert_eq!(split.range(), Some(0..4));
        split.committed(4);
        assert_eq!((split.range(), split.finished()), (None, 4));
    }
}
