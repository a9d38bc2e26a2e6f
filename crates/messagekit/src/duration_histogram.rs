//! Counts of durations in fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Counts durations from any thread.
#[derive(Debug, Default)]
pub(crate) struct DurationHistogram {
    buckets: [AtomicU64; DurationCounts::BOUNDS.len()],
    count: AtomicU64,
    nanos: AtomicU64,
}

/// How many durations were at most as long as each bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DurationCounts {
    /// For each of [`BOUNDS`](Self::BOUNDS), the number of durations up to it: each number includes those before it.
    pub up_to: [u64; Self::BOUNDS.len()],
    /// The number of all durations.
    pub count: u64,
    /// Their sum.
    pub sum: Duration,
}

impl DurationCounts {
    /// The upper bounds of the buckets: from half a millisecond to half a minute.
    pub const BOUNDS: [Duration; 15] = [
        Duration::from_micros(500),
        Duration::from_millis(1),
        Duration::from_micros(2_500),
        Duration::from_millis(5),
        Duration::from_millis(10),
        Duration::from_millis(25),
        Duration::from_millis(50),
        Duration::from_millis(100),
        Duration::from_millis(250),
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_millis(2_500),
        Duration::from_secs(5),
        Duration::from_secs(10),
        Duration::from_secs(30),
    ];
}

impl DurationHistogram {
    pub(crate) fn add(&self, duration: Duration) {
        let bucket = DurationCounts::BOUNDS.iter().position(|bound| duration <= *bound);
        if let Some(bucket) = bucket {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.nanos.fetch_add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> DurationCounts {
        // Other threads add between the reads; the total is never below the buckets.
        let count = self.count.load(Ordering::Relaxed);
        let mut below = 0;
        let up_to = self.buckets.each_ref().map(|bucket| {
            below += bucket.load(Ordering::Relaxed);
            below
        });
        let sum = Duration::from_nanos(self.nanos.load(Ordering::Relaxed));
        DurationCounts { up_to, count: count.max(below), sum }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_counts_the_durations_up_to_it() {
        let histogram = DurationHistogram::default();
        for millis in [0, 1, 2, 40_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let read = histogram.read();
        assert_eq!(read.up_to[..4], [1, 2, 3, 3]);
        assert_eq!((read.up_to[14], read.count, read.sum), (3, 4, Duration::from_millis(40_003)));
    }
}
