//! Counts of durations and sizes in fixed buckets.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The buckets of a histogram.
pub(crate) trait Buckets {
    /// Their upper bounds, in the unit that amounts are added in.
    const BOUNDS: &'static [u64];
    /// How many of those units are one second or one byte.
    const PER_BASE_UNIT: f64;
}

/// Nanoseconds, from half a millisecond to half a minute.
#[derive(Debug)]
pub(crate) enum Durations {}

impl Buckets for Durations {
    const BOUNDS: &'static [u64] = &[
        500_000,
        1_000_000,
        2_500_000,
        5_000_000,
        10_000_000,
        25_000_000,
        50_000_000,
        100_000_000,
        250_000_000,
        500_000_000,
        1_000_000_000,
        2_500_000_000,
        5_000_000_000,
        10_000_000_000,
        30_000_000_000,
    ];
    const PER_BASE_UNIT: f64 = 1e9;
}

/// Bytes, from 128 to 8 MiB. Each bound is four times the one before.
#[derive(Debug)]
pub(crate) enum Sizes {}

impl Buckets for Sizes {
    const BOUNDS: &'static [u64] = &[128, 512, 2_048, 8_192, 32_768, 131_072, 524_288, 2_097_152, 8_388_608];
    const PER_BASE_UNIT: f64 = 1.0;
}

/// Counts amounts from any thread.
#[derive(Debug)]
pub(crate) struct Histogram<B> {
    counts: Box<[AtomicU64]>,
    count: AtomicU64,
    sum: AtomicU64,
    buckets: PhantomData<B>,
}

/// How many amounts were at most as large as each bound.
#[derive(Clone, Debug, PartialEq)]
pub struct HistogramCounts {
    /// Each upper bound in seconds or bytes, with the number of amounts up to it: each number includes those before it.
    pub up_to: Vec<(f64, u64)>,
    /// The number of all amounts.
    pub count: u64,
    /// Their sum in seconds or bytes.
    pub sum: f64,
}

impl HistogramCounts {
    /// Returns the upper bounds of durations, in seconds.
    pub fn second_bounds() -> Vec<f64> {
        Histogram::<Durations>::bounds().collect()
    }
}

impl<B: Buckets> Default for Histogram<B> {
    fn default() -> Self {
        let counts = B::BOUNDS.iter().map(|_| AtomicU64::default()).collect();
        Self { counts, count: AtomicU64::default(), sum: AtomicU64::default(), buckets: PhantomData }
    }
}

impl<B: Buckets> Histogram<B> {
    fn bounds() -> impl Iterator<Item = f64> {
        B::BOUNDS.iter().map(|bound| *bound as f64 / B::PER_BASE_UNIT)
    }

    fn add_amount(&self, amount: u64) {
        if let Some(bucket) = B::BOUNDS.iter().position(|bound| amount <= *bound) {
            self.counts[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> HistogramCounts {
        // Other threads add between the reads; the total is never below the buckets.
        let count = self.count.load(Ordering::Relaxed);
        let mut below = 0;
        let up_to = Self::bounds().zip(&self.counts).map(|(bound, count)| {
            below += count.load(Ordering::Relaxed);
            (bound, below)
        });
        let up_to = up_to.collect();
        let sum = self.sum.load(Ordering::Relaxed) as f64 / B::PER_BASE_UNIT;
        HistogramCounts { up_to, count: count.max(below), sum }
    }
}

impl Histogram<Durations> {
    pub(crate) fn add(&self, duration: Duration) {
        self.add_amount(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
}

impl Histogram<Sizes> {
    pub(crate) fn add(&self, bytes: usize) {
        self.add_amount(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_counts_the_durations_up_to_it() {
        let histogram = Histogram::<Durations>::default();
        for millis in [0, 1, 2, 40_000] {
            histogram.add(Duration::from_millis(millis));
        }
        let read = histogram.read();
        assert_eq!(read.up_to[..4], [(0.0005, 1), (0.001, 2), (0.0025, 3), (0.005, 3)]);
        assert_eq!((read.up_to[14], read.count, read.sum), ((30.0, 3), 4, 40.003));
    }

    #[test]
    fn each_bound_counts_the_sizes_up_to_it() {
        let histogram = Histogram::<Sizes>::default();
        for bytes in [0, 128, 129, 9_000_000] {
            histogram.add(bytes);
        }
        let read = histogram.read();
        assert_eq!(read.up_to[..2], [(128.0, 2), (512.0, 3)]);
        assert_eq!((read.up_to[8], read.count, read.sum), ((8_388_608.0, 3), 4, 9_000_257.0));
    }
}
