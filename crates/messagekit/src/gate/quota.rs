//! How much a limit admits.

use std::num::NonZeroU32;
use std::time::Duration;

use governor::Quota;

/// No limit needs more time, in nanoseconds, for all that it admits at once: governor adds to it without a check.
pub(super) const FOREVER: u64 = u64::MAX / 4;

/// Returns the quota of `burst` per `period`. 0 count as 1; the time for each is at least a nanosecond, and that for all at most 146 years.
pub(super) fn quota(burst: u32, period: Duration) -> Quota {
    let burst = NonZeroU32::new(burst).unwrap_or(NonZeroU32::MIN);
    let longest = Duration::from_nanos(FOREVER / u64::from(burst.get()));
    let each = (period / burst.get()).clamp(Duration::from_nanos(1), longest);
    Quota::with_period(each).expect("a nanosecond at least").allow_burst(burst)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_and_period_is_a_quota() {
        let said = |burst, period| {
            let quota = quota(burst, period);
            (quota.burst_size().get(), quota.replenish_interval())
        };
        let (nanosecond, years) = (Duration::from_nanos(1), Duration::from_nanos(FOREVER));
        assert_eq!(said(4, Duration::from_secs(1)), (4, Duration::from_millis(250)));
        assert_eq!(said(0, Duration::ZERO), (1, nanosecond));
        assert_eq!(said(u32::MAX, Duration::from_secs(1)), (u32::MAX, nanosecond));
        assert_eq!(said(1, Duration::MAX), (1, years));
        assert_eq!(said(1_000, Duration::MAX), (1_000, years / 1_000));
    }
}
