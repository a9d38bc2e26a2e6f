//! Waits between retries of a failed message, and during outages.

use std::time::Duration;

/// Maximum of deadlines and waits, so no sum of times overflows.
pub(super) const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Growing waits with jitter: `first × factor^(n - 1)`, at most `max`. Each wait is shortened by a random part of up to a half,
/// so that messages that failed together are not retried together.
///
/// The default is 200 ms, doubling, at most 5 minutes.
///
/// ```
/// use std::time::Duration;
/// use messagekit::Backoff;
///
/// let backoff = Backoff::new(Duration::from_millis(100), 2.0, Duration::from_secs(1));
/// let third = backoff.delay(3);
/// assert!(Duration::from_millis(200) <= third && third <= Duration::from_millis(400));
/// assert!(backoff.delay(40) <= Duration::from_secs(1));
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Backoff {
    first: Duration,
    factor: f64,
    max: Duration,
}

impl Backoff {
    /// Waits during an outage: short, because an outage costs no attempt.
    pub const OUTAGE: Self =
        Self { first: Duration::from_millis(50), factor: 2.0, max: Duration::from_secs(5) };

    /// Waits for room in the parking limits.
    pub(crate) const ROOM: Self =
        Self { first: Duration::from_millis(100), factor: 2.0, max: Duration::from_secs(1) };

    /// Creates a backoff. A `factor` below 1 counts as 1, a `max` above a year as a year.
    pub fn new(first: Duration, factor: f64, max: Duration) -> Self {
        Self { first, factor: factor.max(1.0), max: max.min(A_YEAR) }
    }

    /// Creates a backoff that does not grow: each wait is between half of `wait` and all of it.
    pub fn fixed(wait: Duration) -> Self {
        Self::new(wait, 1.0, wait)
    }

    /// Returns a wait for the end of another transaction: short and random, so the two do not collide again.
    pub(crate) fn after_conflict() -> Duration {
        Duration::from_micros(fastrand::u64(200..4_000))
    }

    /// Returns the wait after failure number `attempt`, counted from 1.
    pub fn delay(&self, attempt: u32) -> Duration {
        let exponent = i32::try_from(attempt.saturating_sub(1)).unwrap_or(i32::MAX);
        let seconds = (self.first.as_secs_f64() * self.factor.powi(exponent)).min(self.max.as_secs_f64());
        Duration::from_secs_f64(seconds * (1.0 - fastrand::f64() / 2.0))
    }
}

impl Default for Backoff {
    fn default() -> Self {
        Self { first: Duration::from_millis(200), factor: 2.0, max: Duration::from_secs(300) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_maximum_and_never_overflow() {
        let backoff = Backoff::default();
        for (attempt, longest) in [(1, 200), (2, 400), (5, 3_200), (12, 300_000), (u32::MAX, 300_000)] {
            let longest = Duration::from_millis(longest);
            let delay = backoff.delay(attempt);
            assert!(longest / 2 <= delay && delay <= longest, "{attempt}: {delay:?}");
        }
    }
}
