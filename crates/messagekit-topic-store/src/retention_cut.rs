//! What a retention rule deletes from a partition.

use jiff::Timestamp;

use super::RetentionRule;

/// The oldest records of a partition that a rule no longer keeps, found record by record.
///
/// ```
/// use jiff::Timestamp;
/// use messagekit::log::Bounds;
/// use messagekit_topic_store::{RetentionCut, RetentionRule};
///
/// let partition = Bounds { partition: 0, earliest: 0, end: 3 };
/// let mut cut = RetentionCut::new(RetentionRule::of_bytes(10), partition, 24, Timestamp::UNIX_EPOCH);
/// let is_deleted: Vec<bool> = (0..3).map(|offset| cut.add(offset, Timestamp::UNIX_EPOCH, 8)).collect();
/// assert_eq!((is_deleted, cut.offsets()), (vec![true, true, false], 0..2));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionCut {
    rule: RetentionRule,
    /// Records that were stored before are too old.
    oldest: Option<Timestamp>,
    /// Records that were stored before do not wait for consumers.
    oldest_unhandled: Option<Timestamp>,
    /// How many bytes the partition holds too much.
    excess: Option<u64>,
    end: i64,
    from: i64,
    to: i64,
    records: u64,
    bytes: u64,
}

impl RetentionCut {
    /// Begins at the earliest record of a partition that holds these bytes of keys and payloads.
    pub fn new(rule: RetentionRule, partition: messagekit::log::Bounds, bytes: u64, now: Timestamp) -> Self {
        let before = |age| now.saturating_sub(age).unwrap_or(Timestamp::MIN);
        let (oldest, oldest_unhandled) = (rule.max_age.map(before), rule.unhandled_max_age.map(before));
        let excess = rule.max_bytes.map(|max| bytes.saturating_sub(max));
        let (from, end) = (partition.earliest, partition.end);
        Self { rule, oldest, oldest_unhandled, excess, end, from, to: from, records: 0, bytes: 0 }
    }

    /// Returns whether the rule deletes the next record. After the first that stays, all others stay.
    pub fn is_due(&self, offset: i64, stored: Timestamp) -> bool {
        let is_old = self.oldest.is_some_and(|oldest| stored < oldest);
        let is_excess = self.excess.is_some_and(|excess| self.bytes < excess) && offset + 1 < self.end;
        is_old || is_excess || (self.rule.max_age, self.rule.max_bytes) == (None, None)
    }

    /// Returns whether the rule keeps the next record for consumers that have not handled it.
    pub fn waits_for_consumers(&self, stored: Timestamp) -> bool {
        self.rule.keep_unhandled && self.oldest_unhandled.is_none_or(|oldest| stored >= oldest)
    }

    /// Adds the next record if it [is due](Self::is_due), and returns whether it is.
    pub fn add(&mut self, offset: i64, stored: Timestamp, bytes: u64) -> bool {
        let is_due = self.is_due(offset, stored);
        if is_due {
            (self.to, self.records, self.bytes) = (offset + 1, self.records + 1, self.bytes + bytes);
        }
        is_due
    }

    /// Returns the offsets to delete; an empty range when there are none.
    pub fn offsets(&self) -> std::ops::Range<i64> {
        self.from..self.to
    }

    /// Returns the number of records in it.
    pub fn records(&self) -> u64 {
        self.records
    }

    /// Returns their bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use messagekit::log::Bounds;

    fn cut(rule: RetentionRule, bytes: u64) -> RetentionCut {
        let partition = Bounds { partition: 0, earliest: 5, end: 8 };
        RetentionCut::new(rule, partition, bytes, Timestamp::from_second(1_000).unwrap())
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn records_of_exactly_the_age_stay() {
        let mut cut = cut(RetentionRule::of_age(Duration::from_secs(100)), 0);
        assert!(cut.add(5, at(899), 1));
        assert!(!cut.add(6, at(900), 1));
        assert_eq!((cut.offsets(), cut.records(), cut.bytes()), (5..6, 1, 1));
    }

    #[test]
    fn the_last_record_stays_also_if_it_alone_is_too_large() {
        let mut cut = cut(RetentionRule::of_bytes(1), 300);
        assert!(cut.add(5, at(0), 100) && cut.add(6, at(0), 100));
        assert!(!cut.add(7, at(0), 100));
        assert_eq!(cut.offsets(), 5..7);
    }

    #[test]
    fn records_wait_for_consumers_up_to_their_age() {
        let kept = RetentionRule::of_handled();
        assert!(cut(kept, 0).waits_for_consumers(at(0)));
        let limited = RetentionRule { unhandled_max_age: Some(Duration::from_secs(100)), ..kept };
        assert!(
            cut(limited, 0).waits_for_consumers(at(900)) && !cut(limited, 0).waits_for_consumers(at(899))
        );
        assert!(!cut(RetentionRule::of_bytes(1), 0).waits_for_consumers(at(900)));
    }

    #[test]
    fn a_rule_without_age_and_bytes_keeps_nothing_by_itself() {
        let mut cut = cut(RetentionRule::of_handled(), 0);
        assert!((5..8).all(|offset| cut.add(offset, at(2_000), 0)));
        assert_eq!(cut.offsets(), 5..8);
    }
}
