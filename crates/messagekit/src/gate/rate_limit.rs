//! A limit on messages per time.

use std::fmt;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use governor::RateLimiter;
use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{NotKeyed, StateStore};
use tokio::time::{Instant, Sleep};

use super::clock::TokioClock;
use super::quota::{FOREVER, quota};
use super::{Abandon, BatchView, Gate, Outcome, Permit};

/// Admits a number of messages per period. An unused limit admits them all at once; after that, messages are spread evenly
/// (generic cell rate algorithm).
///
/// A message is used when its handler has started, whatever it returned. Messages of a batch that start no handler, such as
/// duplicates, are given back. A batch that starts more handlers than it was granted, because some of its messages had to run
/// again, goes into debt: nothing is admitted until the limit has recovered from it.
///
/// Clones share the limit, so several consumers, or the lanes of one, keep it together. The clock is tokio's.
///
/// ```
/// use std::time::Duration;
/// use messagekit::gate::RateLimit;
///
/// let hundred_per_second = RateLimit::per_second(100);
/// let per_minute = RateLimit::per(500, Duration::from_secs(60));
/// // Consumer::builder("billing", store).gate(hundred_per_second) …
/// # drop((hundred_per_second, per_minute));
/// ```
pub struct RateLimit {
    shared: Arc<Shared>,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

struct Shared {
    limiter: RateLimiter<NotKeyed, Used, TokioClock, NoOpMiddleware<Nanos>>,
    used: Used,
    burst: NonZeroU32,
    /// The time that one message uses.
    each: Duration,
}

impl RateLimit {
    /// Admits `messages` per `period`. 0 messages count as 1, the time per message is at least one nanosecond, and
    /// that for all of them at most 146 years.
    pub fn per(messages: u32, period: Duration) -> Self {
        let quota = quota(messages, period);
        let (burst, each) = (quota.burst_size(), quota.replenish_interval());
        let used = Used::default();
        let limiter = RateLimiter::new(quota, used.clone(), TokioClock::start());
        Self { shared: Arc::new(Shared { limiter, used, burst, each }), timer: None }
    }

    /// Admits `messages` per second.
    pub fn per_second(messages: u32) -> Self {
        Self::per(messages, Duration::from_secs(1))
    }

    /// Returns how many messages it would admit now.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// assert_eq!(messagekit::gate::RateLimit::per_second(100).available(), 100);
    /// # });
    /// ```
    pub fn available(&self) -> u32 {
        self.shared.available()
    }

    /// Waits until it would admit `messages`, at most the messages of its period. Nothing is taken.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_for(&self, messages: u32) {
        let wanted = messages.min(self.shared.burst.get());
        while let missing @ 1.. = wanted.saturating_sub(self.available()) {
            tokio::time::sleep((self.shared.each * missing).max(Duration::from_millis(1))).await;
        }
    }
}

impl Shared {
    /// Takes as many messages as are available now, at most `wanted`, or returns the wait for one.
    fn take(&self, wanted: u32) -> Result<u32, Duration> {
        let mut wanted = NonZeroU32::new(wanted).unwrap_or(NonZeroU32::MIN).min(self.burst);
        loop {
            match self.limiter.check_n(wanted) {
                Ok(Ok(())) => return Ok(wanted.get()),
                Ok(Err(until)) if wanted == NonZeroU32::MIN => {
                    return Err(until.wait_time_from(self.limiter.clock().now()));
                }
                Ok(Err(_)) | Err(_) => wanted = NonZeroU32::new(wanted.get() / 2).unwrap_or(NonZeroU32::MIN),
            }
        }
    }

    /// Returns how many messages fit into what is not used of the burst.
    fn available(&self) -> u32 {
        let used = self.used.lock().map_or(0, Nanos::as_u64);
        let used = used.saturating_sub(self.limiter.clock().now().as_u64());
        let free = self.time_of(self.burst.get()).as_u64().saturating_sub(used);
        u32::try_from(free / Nanos::from(self.each).as_u64()).unwrap_or(u32::MAX)
    }

    /// Gives messages of a permit back. Those from which the limit has recovered meanwhile are free already, and would be given
    /// twice. `until` is the time up to which the permit used the limit.
    fn give_back(&self, until: Nanos, messages: u32) {
        let unused = self.time_of(messages).min(until.saturating_sub(self.limiter.clock().now()));
        let mut used = self.used.lock();
        *used = used.map(|until| until.saturating_sub(unused));
    }

    /// Takes messages that were not granted: a debt.
    fn charge(&self, messages: u32) {
        let now = self.limiter.clock().now();
        let mut used = self.used.lock();
        let until = used.unwrap_or(now).max(now).as_u64();
        *used = Some(Nanos::from(until.saturating_add(self.time_of(messages).as_u64()).min(FOREVER)));
    }

    fn time_of(&self, messages: u32) -> Nanos {
        Nanos::from(Nanos::from(self.each).as_u64().saturating_mul(u64::from(messages)))
    }
}

impl Abandon for Shared {
    fn abandon(&self, stamp: u64, unused: u32) {
        self.give_back(Nanos::from(stamp), unused);
    }
}

impl Gate for RateLimit {
    fn name(&self) -> &'static str {
        "rate_limit"
    }

    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit> {
        loop {
            let wait = match self.shared.take(batch.messages) {
                Ok(granted) => {
                    let until = self.shared.used.lock().map_or(0, Nanos::as_u64);
                    return Poll::Ready(Permit::new(until, granted, Some(self.shared.clone() as _)));
                }
                Err(wait) => wait,
            };
            // Tokio's timers have millisecond resolution: a shorter wait would poll too early.
            let until = Instant::now() + wait.max(Duration::from_millis(1));
            let timer = match &mut self.timer {
                Some((at, timer)) if *at <= until => timer,
                timer => &mut timer.insert((until, Box::pin(tokio::time::sleep_until(until)))).1,
            };
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.timer = None;
        }
    }

    fn settle(&mut self, permit: Permit, outcome: &Outcome) {
        let (stamp, granted) = permit.redeem();
        match granted.checked_sub(outcome.used) {
            Some(unused) => self.shared.give_back(Nanos::from(stamp), unused),
            None => self.shared.charge(outcome.used - granted),
        }
    }
}

impl Clone for RateLimit {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), timer: None }
    }
}

impl fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RateLimit")
            .field("messages", &self.shared.burst)
            .field("each", &self.shared.each)
            .finish_non_exhaustive()
    }
}

/// The time up to which the taken messages use the limit. It is shared, because governor cannot give messages back.
#[derive(Clone, Debug, Default)]
struct Used(Arc<Mutex<Option<Nanos>>>);

impl Used {
    fn lock(&self) -> MutexGuard<'_, Option<Nanos>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for Used {
    type Key = NotKeyed;

    fn measure_and_replace<T, F, E>(&self, _key: &NotKeyed, decide: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        let mut used = self.lock();
        let (answer, until) = decide(*used)?;
        *used = Some(until);
        Ok(answer)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use proptest::prelude::*;

    use super::*;
    use crate::transport::Lane;

    fn view(messages: u32) -> BatchView {
        BatchView { lane: Lane { slot: 0, epoch: 1 }, messages, bytes: 0 }
    }

    async fn take(gate: &mut RateLimit, messages: u32) -> u32 {
        let permit = poll_fn(|cx| gate.poll_admit(&view(messages), cx)).await;
        let granted = permit.granted();
        gate.settle(permit, &Outcome { used: granted, handled: true, ..Outcome::default() });
        granted
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_messages_take_as_long_as_the_limit_says() {
        let mut gate = RateLimit::per(100, Duration::from_secs(10));
        let started = Instant::now();
        let mut taken = 0;
        while taken < 1_000 {
            taken += take(&mut gate, 7).await;
        }
        let took = started.elapsed();
        // 100 at once, then one per 100 ms.
        assert!((Duration::from_secs(89)..Duration::from_secs(92)).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_available_can_be_seen_and_awaited() {
        let mut gate = RateLimit::per_second(10);
        let watched = gate.clone();
        assert_eq!(watched.available(), 10);
        assert_eq!(take(&mut gate, 7).await, 7);
        assert_eq!(watched.available(), 3);
        let started = Instant::now();
        watched.wait_for(5).await;
        assert_eq!((watched.available(), started.elapsed()), (5, Duration::from_millis(200)));
        watched.wait_for(1_000).await;
        assert_eq!(take(&mut gate, 10).await, 10, "what is available is admitted");
        assert_eq!(watched.available(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn clones_keep_one_limit() {
        let mut gate = RateLimit::per_second(10);
        let mut other = gate.clone();
        assert_eq!(take(&mut gate, 10).await, 10);
        let started = Instant::now();
        assert_eq!(take(&mut other, 10).await, 1);
        assert!(started.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_not_used_is_given_back() {
        let mut gate = RateLimit::per_second(10);
        drop(poll_fn(|cx| gate.poll_admit(&view(10), cx)).await);
        let permit = poll_fn(|cx| gate.poll_admit(&view(10), cx)).await;
        assert_eq!(permit.granted(), 10);
        gate.settle(permit, &Outcome { used: 4, handled: true, ..Outcome::default() });
        let started = Instant::now();
        assert_eq!((take(&mut gate, 4).await, take(&mut gate, 2).await), (4, 2));
        assert_eq!(started.elapsed(), Duration::ZERO);
        take(&mut gate, 1).await;
        assert!(started.elapsed() >= Duration::from_millis(100));
    }

    /// A batch that is admitted after a pause, by the share of its messages whose handlers start: more than one for a bisection.
    fn batches() -> impl Strategy<Value = Vec<(u64, u32, f64)>> {
        prop::collection::vec((0_u64..4_000, 1_u32..15, 0.0_f64..3.0), 1..60)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        /// A batch is admitted as soon as the starts of any time before it, and one more, are within the limit.
        #[test]
        fn starts_keep_to_the_limit_whatever_batches_use(batches in batches()) {
            const BURST: u32 = 10;
            const EACH: Duration = Duration::from_millis(100);
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            runtime.block_on(async {
                let mut gate = RateLimit::per(BURST, EACH * BURST);
                let mut runs: Vec<(Instant, u32)> = Vec::new();
                for (pause, wanted, share) in batches {
                    tokio::time::sleep(Duration::from_millis(pause)).await;
                    let asked = Instant::now();
                    let permit = poll_fn(|cx| gate.poll_admit(&view(wanted), cx)).await;
                    let (admitted, granted) = (Instant::now(), permit.granted());
                    // When the limit has recovered from the starts since any earlier run, so that it allows `more`.
                    let free_at = |more: u32| {
                        let since = |index: usize| {
                            let used: u32 = runs[index..].iter().map(|(_, used)| used).sum();
                            runs[index].0 + EACH * (used + more).saturating_sub(BURST)
                        };
                        (0..runs.len()).map(since).max().unwrap_or(asked)
                    };
                    prop_assert!(admitted >= free_at(granted), "{granted} too early");
                    prop_assert!(admitted <= free_at(1).max(asked) + Duration::from_millis(2), "too late");
                    let used = (f64::from(granted) * share) as u32;
                    gate.settle(permit, &Outcome { used, ..Outcome::default() });
                    runs.push((admitted, used));
                }
                Ok(())
            })?;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_the_limit_has_recovered_from_is_not_given_back_again() {
        let mut gate = RateLimit::per_second(10);
        let held = poll_fn(|cx| gate.poll_admit(&view(10), cx)).await;
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(take(&mut gate, 10).await, 10);
        gate.settle(held, &Outcome { used: 1, ..Outcome::default() });
        let started = Instant::now();
        take(&mut gate, 1).await;
        assert!(started.elapsed() >= Duration::from_millis(100));
    }

    #[tokio::test(start_paused = true)]
    async fn a_huge_debt_does_not_end_the_process() {
        let mut gate = RateLimit::per(1, Duration::from_secs(60 * 60 * 24 * 365 * 100));
        for _ in 0..2 {
            let mut cx = Context::from_waker(std::task::Waker::noop());
            if let Poll::Ready(permit) = gate.poll_admit(&view(1), &mut cx) {
                gate.settle(permit, &Outcome { used: u32::MAX, ..Outcome::default() });
            }
        }
    }
}
