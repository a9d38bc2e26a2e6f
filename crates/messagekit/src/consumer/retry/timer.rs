//! The timer of polls for due failed messages.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use crate::consumer::Backoff;
use crate::consumer::settings::RETRY_POLL;

/// Fires when a failed message of this process is due. It also fires periodically for others: those of an earlier process, and
/// retries that an operator requested.
pub(in crate::consumer) struct RetryTimer {
    timer: Pin<Box<Sleep>>,
    dues: BTreeSet<Instant>,
    outages: u32,
}

impl RetryTimer {
    /// The maximum number of remembered due times; periodic polls find the others.
    const MAX_DUES: usize = 1_024;

    /// Creates a timer that fires at once.
    pub(in crate::consumer) fn new() -> Self {
        Self { timer: Box::pin(tokio::time::sleep(Duration::ZERO)), dues: BTreeSet::new(), outages: 0 }
    }

    /// Returns whether a poll is due.
    pub(in crate::consumer) fn is_due(&mut self, cx: &mut Context<'_>) -> bool {
        self.timer.as_mut().poll(cx) == Poll::Ready(())
    }

    /// Starts a poll, which finds all messages that are due now.
    pub(in crate::consumer) fn look_begins(&mut self) {
        let now = Instant::now();
        self.dues.retain(|due| *due > now);
    }

    /// Records that a failed message is due in `delay`.
    pub(in crate::consumer) fn due_in(&mut self, delay: Duration) {
        let due = Instant::now() + delay;
        if self.dues.len() < Self::MAX_DUES {
            self.dues.insert(due);
        }
        if self.outages == 0 && due < self.timer.deadline() {
            self.timer.as_mut().reset(due);
        }
    }

    /// Makes a poll due at once, unless one is or the timer waits for the end of an outage. Returns whether that made a difference.
    pub(in crate::consumer) fn look_now(&mut self) -> bool {
        let now = Instant::now();
        let waits = self.outages == 0 && now < self.timer.deadline();
        if waits {
            self.timer.as_mut().reset(now);
        }
        waits
    }

    /// Ends a poll. If it found a failed message, there may be more.
    pub(in crate::consumer) fn look_ended(&mut self, found: bool) {
        self.outages = 0;
        let at = Instant::now() + if found { Duration::ZERO } else { RETRY_POLL };
        self.timer.as_mut().reset(self.dues.first().map_or(at, |due| at.min(*due)));
    }

    /// Records an outage of a poll. Returns the wait, which ignores earlier due times.
    pub(in crate::consumer) fn outage(&mut self) -> Duration {
        self.outages += 1;
        let wait = Backoff::OUTAGE.delay(self.outages);
        self.timer.as_mut().reset(Instant::now() + wait);
        wait
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;

    async fn fires_after(timer: &mut RetryTimer) -> Duration {
        let started = Instant::now();
        poll_fn(|cx| if timer.is_due(cx) { Poll::Ready(()) } else { Poll::Pending }).await;
        timer.look_begins();
        started.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn each_failed_message_is_looked_for_when_it_is_due() {
        let mut timer = RetryTimer::new();
        assert_eq!(fires_after(&mut timer).await, Duration::ZERO);
        timer.look_ended(false);
        timer.due_in(Duration::from_millis(300));
        timer.due_in(Duration::from_millis(100));
        for step in [100, 200] {
            let waited = fires_after(&mut timer).await;
            assert!(waited.as_millis().abs_diff(step) <= 2, "{waited:?} instead of {step} ms");
            timer.look_ended(false);
        }
        assert!(fires_after(&mut timer).await >= RETRY_POLL);
    }

    #[tokio::test(start_paused = true)]
    async fn an_outage_is_waited_for_even_when_a_failed_message_is_due() {
        let mut timer = RetryTimer::new();
        for _ in 0..10 {
            timer.outage();
        }
        let wait = timer.outage();
        timer.due_in(Duration::from_millis(1));
        assert!(fires_after(&mut timer).await >= wait);
    }
}
