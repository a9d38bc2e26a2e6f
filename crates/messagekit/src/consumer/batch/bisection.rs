//! Splits a batch into transactions after a failure.

use std::ops::Range;

/// Splits a batch into ranges, one transaction each. Pure: no clock, no store.
///
/// Ranges come in order, so the finished messages are always a prefix. A known culprit ends the next range: the caller sets it
/// aside together with the messages before it. If the culprit is unknown, the range is halved.
#[derive(Debug)]
pub(super) struct Bisection {
    next: usize,
    end: usize,
    /// Ends of the next ranges, nearest last.
    cuts: Vec<usize>,
}

impl Bisection {
    pub(super) fn new(messages: usize) -> Self {
        Self { next: 0, end: messages, cuts: Vec::new() }
    }

    /// Returns the next range, or `None` if all messages are finished.
    pub(super) fn range(&self) -> Option<Range<usize>> {
        let end = self.cuts.last().copied().unwrap_or(self.end).min(self.end);
        (self.next < end).then_some(self.next..end)
    }

    /// Returns the number of finished messages from the front.
    pub(super) fn finished(&self) -> usize {
        self.next
    }

    /// Records that the range was committed up to `through`.
    pub(super) fn committed(&mut self, through: usize) {
        self.next = through;
        while self.cuts.last().is_some_and(|cut| *cut <= through) {
            self.cuts.pop();
        }
    }

    /// Makes the message at `index` the last one of the next range. It failed and is set aside, or it must run with no message
    /// behind it.
    pub(super) fn ends_with(&mut self, index: usize) {
        self.cuts.push(index + 1);
    }

    /// Makes the message at `index` a range of its own, behind the messages before it.
    pub(super) fn alone(&mut self, index: usize) {
        self.cuts.push(index + 1);
        if index > self.next {
            self.cuts.push(index);
        }
    }

    /// Excludes all messages from `index` on from this batch run.
    pub(super) fn stop_before(&mut self, index: usize) {
        self.end = index;
    }

    /// Halves the range, whose culprit is unknown. Returns false if it contains one message, which is the culprit then.
    pub(super) fn halve(&mut self) -> bool {
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

    /// The effect of a message on its transaction.
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum Kind {
        Good,
        /// Its handler returns an error.
        Fails,
        /// Its handler ignores an error: the transaction fails at its end.
        Swallows,
    }

    fn kinds() -> impl Strategy<Value = Vec<Kind>> {
        let kind = prop_oneof![8 => Just(Kind::Good), 1 => Just(Kind::Fails), 1 => Just(Kind::Swallows)];
        prop::collection::vec(kind, 0..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(3_000))]

        /// Compared with a model that handles each message by itself: the same messages are applied and set aside, once and in
        /// order.
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
                    // The time limit of the handlers may end a batch early.
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
