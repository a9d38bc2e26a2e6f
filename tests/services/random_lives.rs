//! Random lives, and choices in them.

use std::sync::atomic::{AtomicUsize, Ordering};

use fastrand::Rng;

use crate::is_full;

/// Lives on four threads, each with the next seeds, `together` at most. `MESSAGEKIT_SEED` names the only seed; otherwise there are 24, and
/// 2,000 at the stated size. Returns how many.
///
/// # Panics
/// If a life panics.
pub fn live_all(together: usize, live: impl Fn(&[u64]) + Sync) -> usize {
    let seeds: Vec<u64> = match std::env::var("MESSAGEKIT_SEED") {
        Ok(seed) => vec![seed.parse().expect("a seed is a number")],
        Err(_) => (0..if is_full() { 2_000 } else { 24 }).collect(),
    };
    let next = AtomicUsize::new(0);
    let worker = || {
        while let Some(seeds) = seeds.chunks(together).nth(next.fetch_add(1, Ordering::Relaxed)) {
            live(seeds);
        }
    };
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4).map(|_| scope.spawn(worker)).collect();
        for worker in workers {
            worker.join().expect("every life fits");
        }
    });
    seeds.len()
}

/// Returns true so many times of a hundred.
pub fn chance(random: &mut Rng, percent: u8) -> bool {
    random.u8(0..100) < percent
}

/// Returns one of some values.
pub fn one<T: Copy>(random: &mut Rng, of: &[T]) -> T {
    of[random.usize(0..of.len())]
}
