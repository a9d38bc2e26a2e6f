//! When the failed messages that hold keys are counted.
//!
//! Their sum goes through all blocked keys of a consumer, which in an outage are many: counted for every message that is parked,
//! it would cost the most when there is the least time. A process that has counted may therefore park a part of what was left
//! without counting again. Several processes that do so, one of them after a long pause, exceed the bound by no more than that
//! part each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use messagekit::ParkingLimits;

/// One in so many of the places that are left is taken without counting.
const PART: i64 = 100;

/// What this process may park without counting, by consumer and bound.
#[derive(Default)]
pub(crate) struct Uncounted {
    left: Mutex<HashMap<(String, u32), i64>>,
}

impl Uncounted {
    /// Takes places; false when there are fewer, and everything must be counted.
    pub(crate) fn take(&self, consumer: &str, limits: ParkingLimits, failed_messages: i64) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = left.get_mut(&(consumer.to_owned(), limits.in_all)) else { return false };
        let enough = *left >= failed_messages;
        *left -= if enough { failed_messages } else { *left };
        enough
    }

    /// Notes how many places there are after a count.
    pub(crate) fn counted(&self, consumer: &str, limits: ParkingLimits, left_in_all: i64) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.insert((consumer.to_owned(), limits.in_all), left_in_all.max(0) / PART);
    }
}

/// The bounds of a consumer, and how seldom they are compared with everything.
#[derive(Clone, Copy)]
pub(crate) struct ParkingQuota<'a> {
    pub(crate) bounds: ParkingLimits,
    pub(crate) uncounted: &'a Uncounted,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(in_all: u32) -> ParkingLimits {
        ParkingLimits { per_key: 1_000, in_all }
    }

    #[test]
    fn a_part_of_what_was_left_is_not_counted() {
        let uncounted = Uncounted::default();
        assert!(!uncounted.take("billing", of(1_000), 1), "nobody has counted yet");
        uncounted.counted("billing", of(1_000), 450);
        assert!(uncounted.take("billing", of(1_000), 3));
        assert!(!uncounted.take("shipping", of(1_000), 1), "another consumer");
        assert!(!uncounted.take("billing", of(1_001), 1), "another bound");
        assert!(!uncounted.take("billing", of(1_000), 2), "one place is left");
        assert!(!uncounted.take("billing", of(1_000), 1), "a count is due, whatever comes next");
    }

    #[test]
    fn every_failed_message_is_counted_near_the_bound() {
        let uncounted = Uncounted::default();
        for left in [99, 1, 0, -5] {
            uncounted.counted("billing", of(1_000), left);
            assert!(!uncounted.take("billing", of(1_000), 1), "{left}");
        }
    }
}
