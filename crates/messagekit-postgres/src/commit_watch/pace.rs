//! How often a watcher looks.

use std::time::Duration;

/// The time between two looks: while records come, and after a long time without any.
const BUSY: Duration = Duration::from_millis(1);
const IDLE: Duration = Duration::from_millis(250);

/// The part of the time since the last records after which the next look comes: 0.4 s after records a look still comes every millisecond, and
/// from then on to an idle database there are some 2,200 looks.
const PART: u32 = 400;

/// How many times as long as a look the pause after it is: a slow server is not asked more because it is slow.
const SHARE: u32 = 3;

/// The time between a look and the next one that a notice asks for: many notices are one look.
pub(super) const NOTICED: Duration = Duration::from_millis(2);

/// Returns the time until the next look, when no notice comes.
pub(super) fn pause(since_records: Duration, last_look: Duration) -> Duration {
    (since_records / PART).clamp(BUSY, IDLE).max(last_look.saturating_mul(SHARE).min(IDLE))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_database_is_asked_seldom_and_a_busy_one_soon() {
        let quick = Duration::from_micros(200);
        assert_eq!(pause(Duration::ZERO, quick), BUSY);
        assert_eq!(pause(Duration::from_millis(400), quick), BUSY);
        assert_eq!(pause(Duration::from_secs(10), quick), Duration::from_millis(25));
        assert_eq!(pause(Duration::from_secs(3_600), quick), IDLE);
    }

    #[test]
    fn a_slow_server_is_not_asked_more() {
        assert_eq!(pause(Duration::ZERO, Duration::from_millis(4)), Duration::from_millis(12));
        assert_eq!(pause(Duration::ZERO, Duration::from_secs(9)), IDLE, "but it is asked");
    }
}
