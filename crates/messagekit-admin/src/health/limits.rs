//! How much waiting is no fault yet.

use std::time::Duration;

use super::lag::Lag;

/// How long events and messages may wait, and how many of them, before the [health](crate::Health) of a part is degraded.
///
/// ```
/// use std::time::Duration;
/// use messagekit_admin::{Health, HealthLimits};
///
/// // Nightly imports fill the outbox for a quarter of an hour; consumers are always close behind.
/// let limits = HealthLimits::new()
///     .oldest_event(Duration::from_secs(900))
///     .overdue_events(9_000)
///     .consumer_lag(100_000, Duration::from_secs(60));
/// let health = Health::new().limits(limits);
/// # drop(health);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "give them to a Health or to an admin"]
pub struct HealthLimits {
    pub(super) oldest_event: Duration,
    pub(super) overdue_events: u64,
    consumer_lag: Option<(u64, Duration)>,
}

impl HealthLimits {
    /// Creates the default limits: 300 seconds and 1,000 overdue events for an outbox, none for consumers.
    pub const fn new() -> Self {
        Self { oldest_event: Duration::from_secs(300), overdue_events: 1_000, consumer_lag: None }
    }

    /// Sets how long the oldest event of an outbox may wait; beyond that `/health/outbox` is 503 [default: 300 s].
    pub const fn oldest_event(mut self, age: Duration) -> Self {
        self.oldest_event = age;
        self
    }

    /// Sets how many events of an outbox may wait for longer than ten seconds; beyond that `/health/outbox` is 503 [default: 1,000].
    /// Those that wait are counted up to [`COUNT_LIMIT`](messagekit::operations::COUNT_LIMIT), 10,000: such a limit, or a greater one, is
    /// never exceeded.
    pub const fn overdue_events(mut self, events: u64) -> Self {
        self.overdue_events = events;
        self
    }

    /// Sets how far a consumer may be behind, in messages and by the age of the oldest one; beyond either it is degraded, and `findings` of
    /// `/health/ready` says so, which stays 200: a restart would not bring it closer [default: any distance]. `u64::MAX` messages, or
    /// `Duration::MAX`, leave one of them out.
    ///
    /// It is the distance of this process, in the partitions that it has: other processes of the consumer add theirs. While the backend
    /// does not tell it, it exceeds no limit.
    pub const fn consumer_lag(mut self, messages: u64, oldest: Duration) -> Self {
        self.consumer_lag = Some((messages, oldest));
        self
    }

    /// Returns what an operator reads about a consumer that is too far behind.
    pub(super) fn exceeded_by(&self, lag: &Lag) -> Option<String> {
        let (messages, oldest) = self.consumer_lag?;
        let (limit, behind) = (oldest.as_secs_f64(), lag.messages);
        if behind > messages {
            return Some(format!("it is {behind} messages behind, more than the limit of {messages}"));
        }
        let waits = lag.seconds;
        let finding =
            || format!("its oldest message waits for {waits:.1} s, longer than the limit of {limit} s");
        (waits > limit).then(finding)
    }
}

impl Default for HealthLimits {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_consumer_may_be_as_far_behind_as_its_limits_say() {
        let limits = HealthLimits::new().consumer_lag(100, Duration::from_secs(60));
        let said = |messages, seconds| limits.exceeded_by(&Lag { messages, seconds });
        assert_eq!(said(100, 60.0), None);
        let many = "it is 101 messages behind, more than the limit of 100";
        assert_eq!(said(101, 90.0).as_deref(), Some(many));
        let old = "its oldest message waits for 61.0 s, longer than the limit of 60 s";
        assert_eq!(said(1, 61.0).as_deref(), Some(old));
        assert_eq!(HealthLimits::new().exceeded_by(&Lag { messages: u64::MAX, seconds: 1e9 }), None);
    }
}
