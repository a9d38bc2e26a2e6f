//! Counts of sizes in fixed buckets.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts sizes from any thread.
#[derive(Debug, Default)]
pub(crate) struct SizeHistogram {
    buckets: [AtomicU64; SizeCounts::BOUNDS.len()],
    count: AtomicU64,
    bytes: AtomicU64,
}

/// How many sizes were at most as large as each bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SizeCounts {
    /// For each of [`BOUNDS`](Self::BOUNDS), the number of sizes up to it: each number includes those before it.
    pub up_to: [u64; Self::BOUNDS.len()],
    /// The number of all sizes.
    pub count: u64,
    /// Their sum in bytes.
    pub sum: u64,
}

impl SizeCounts {
    /// The upper bounds of the buckets in bytes: from 128 bytes to 8 MiB, each four times the one before.
    pub const BOUNDS: [u64; 9] = [128, 512, 2_048, 8_192, 32_768, 131_072, 524_288, 2_097_152, 8_388_608];
}

impl SizeHistogram {
    pub(crate) fn add(&self, bytes: usize) {
        let bytes = bytes as u64;
        if let Some(bucket) = SizeCounts::BOUNDS.iter().position(|bound| bytes <= *bound) {
            self.buckets[bucket].fetch_add(1, Ordering::Relaxed);
        }
        self.count.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) -> SizeCounts {
        // Other threads add between the reads; the total is never below the buckets.
        let count = self.count.load(Ordering::Relaxed);
        let mut below = 0;
        let up_to = self.buckets.each_ref().map(|bucket| {
            below += bucket.load(Ordering::Relaxed);
            below
        });
        SizeCounts { up_to, count: count.max(below), sum: self.bytes.load(Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_bound_counts_the_sizes_up_to_it() {
        let histogram = SizeHistogram::default();
        for bytes in [0, 128, 129, 9_000_000] {
            histogram.add(bytes);
        }
        let read = histogram.read();
        assert_eq!((read.up_to[..2].to_vec(), read.up_to[8]), (vec![2, 3], 3));
        assert_eq!((read.count, read.sum), (4, 9_000_257));
    }
}
