//! Decides when to count the failed messages that block keys.
//!
//! The count reads all blocked keys of a consumer, which are many in an outage. Counting for every parked message would
//! cost the most when time is scarce. After a count, a process may therefore park a part of the remaining quota without
//! counting again. Several processes that do so, one of them after a long pause, exceed the limit by at most that part
//! each.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use messagekit::ParkingLimits;

/// The share of the remaining quota that needs no count: one in this many.
const PART: i64 = 100;

/// The number of messages that this process may park without a count, by consumer and limit.
#[derive(Default)]
pub(crate) struct Uncounted {
    left: Mutex<HashMap<(String, u32), i64>>,
}

impl Uncounted {
    /// Takes quota; returns false when too little is left and a count is necessary.
    pub(crate) fn take(&self, consumer: &str, limits: ParkingLimits, failed_messages: i64) -> bool {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(left) = left.get_mut(&(consumer.to_owned(), limits.in_all)) else { return false };
        let enough = *left >= failed_messages;
        *left -= if enough { failed_messages } else { *left };
        enough
    }

    /// Stores the remaining quota after a count.
    pub(crate) fn counted(&self, consumer: &str, limits: ParkingLimits, left_in_all: i64) {
        let mut left = self.left.lock().unwrap_or_else(PoisonError::into_inner);
        left.insert((consumer.to_owned(), limits.in_all), left_in_all.max(0) / PART);
    }
}

/// The limits of a consumer, and its uncounted quota.
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
