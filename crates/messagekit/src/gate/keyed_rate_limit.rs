//! A limit on calls per time for each key, such as a tenant or a host.

use std::error::Error as StdError;
use std::fmt;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use governor::clock::Clock;
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::{Quota, RateLimiter};

use super::clock::TokioClock;
use super::quota::quota;

/// So many calls are asked for, at least, between two looks for keys that are not needed.
const FEW: usize = 1_000;

/// Admits a number of calls per period for each key, such as a tenant or a host: one that is asked for often leaves the others their
/// share. An unused key admits all of them at once; after that, its calls are spread evenly (generic cell rate algorithm). So up to twice
/// as many fall into one period after a pause: for a provider that counts strictly, use `per(1, period / calls)`.
///
/// It is no [`Gate`](super::Gate), which sees how many messages wait and not what is in them: a handler takes a call itself, best
/// outside of its transaction ([`ConsumerBuilder::on_call`](crate::ConsumerBuilder::on_call)). Clones share the limit. A key is forgotten
/// some time after it admits all its calls again, so that memory follows the keys in use. The clock is tokio's.
///
/// ```
/// use messagekit::HandlerError;
/// use messagekit::gate::KeyedRateLimit;
///
/// # async fn post(_: &str, _: i64) -> Result<(), std::io::Error> { Ok(()) }
/// async fn charge(limit: &KeyedRateLimit<String>, tenant: String, pence: i64) -> Result<(), HandlerError> {
///     // Two calls per second for each tenant. The deadline of the handler includes the wait.
///     limit.take(&tenant).await;
///     post(&tenant, pence).await.map_err(HandlerError::unavailable)
/// }
/// # tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(async {
/// let limit = KeyedRateLimit::per_second(2);
/// charge(&limit, "acme".into(), 420).await.unwrap();
/// # });
/// ```
pub struct KeyedRateLimit<K: Hash + Eq + Clone> {
    shared: Arc<Shared<K>>,
}

struct Shared<K: Hash + Eq + Clone> {
    limiter: RateLimiter<K, HashMapStateStore<K>, TokioClock, NoOpMiddleware<Nanos>>,
    quota: Quota,
    /// The number of calls since those keys were looked for that are not needed.
    calls: AtomicUsize,
}

impl<K: Hash + Eq + Clone> KeyedRateLimit<K> {
    /// Admits `calls` per `period` for each key. 0 calls count as 1, the time per call is at least one nanosecond, and that
    /// for all of them at most 146 years.
    pub fn per(calls: u32, period: Duration) -> Self {
        let quota = quota(calls, period);
        let limiter = RateLimiter::hashmap_with_clock(quota, TokioClock::start());
        Self { shared: Arc::new(Shared { limiter, quota, calls: AtomicUsize::new(0) }) }
    }

    /// Admits `calls` per second for each key.
    pub fn per_second(calls: u32) -> Self {
        Self::per(calls, Duration::from_secs(1))
    }

    /// Takes a call of a key if one is available.
    ///
    /// A handler that does not get one may do something else, or fail its message for a while: as
    /// [`HandlerError::retryable`](crate::HandlerError::retryable) with [`retry_after`](crate::HandlerError::retry_after), which costs an
    /// attempt and lets its lane go on, or as [`HandlerError::unavailable`](crate::HandlerError::unavailable), which costs none and holds the
    /// lane up.
    ///
    /// # Errors
    /// [`LimitReached`] with the wait for the next call. A retry is useful after it.
    pub fn try_take(&self, key: &K) -> Result<(), LimitReached> {
        self.forget_unused();
        let limiter = &self.shared.limiter;
        limiter
            .check_key(key)
            .map_err(|until| LimitReached { retry_in: until.wait_time_from(limiter.clock().now()) })
    }

    /// Waits until a call of a key is available, and takes it. Those who wait for one key have no order among them.
    ///
    /// In a handler the deadline includes the wait: if more messages of a key wait than it admits within the deadline, the rest fail as
    /// `too_slow`. Give the consumer a deadline that is long enough for [`calls_at_once`](crate::ConsumerBuilder::calls_at_once) of them. The
    /// lane goes on when the slowest call of its batch has ended.
    ///
    /// # Cancel safety
    /// A future that is dropped has taken nothing.
    pub async fn take(&self, key: &K) {
        while let Err(reached) = self.try_take(key) {
            // Tokio's timers have millisecond resolution: a shorter wait would look too early.
            tokio::time::sleep(reached.retry_in.max(Duration::from_millis(1))).await;
        }
    }

    /// Returns the number of keys in memory.
    pub fn keys(&self) -> usize {
        self.shared.limiter.len()
    }

    /// Forgets the keys that admit all their calls. It looks when there were half as many calls as there are keys, so that each
    /// pays for two keys on average.
    fn forget_unused(&self) {
        let calls = self.shared.calls.fetch_add(1, Ordering::Relaxed);
        // Most calls are spared the lock under which keys are counted.
        if calls >= FEW && calls >= self.keys() / 2 {
            self.shared.calls.store(0, Ordering::Relaxed);
            self.shared.limiter.retain_recent();
            self.shared.limiter.shrink_to_fit();
        }
    }
}

impl<K: Hash + Eq + Clone> Clone for KeyedRateLimit<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

/// Without its keys, which may name persons.
impl<K: Hash + Eq + Clone> fmt::Debug for KeyedRateLimit<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyedRateLimit")
            .field("calls", &self.shared.quota.burst_size())
            .field("each", &self.shared.quota.replenish_interval())
            .field("keys", &self.keys())
            .finish()
    }
}

/// A call that a [limit](KeyedRateLimit::try_take) did not admit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LimitReached {
    /// The wait for the next call of this key, if no other call takes it.
    pub retry_in: Duration,
}

impl fmt::Display for LimitReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the limit of this key is reached, and admits the next call in {:.1?}", self.retry_in)
    }
}

impl StdError for LimitReached {}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, timeout};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn each_key_has_its_own_limit() {
        let limit = KeyedRateLimit::per_second(3);
        let began = Instant::now();
        for _ in 0..3 {
            limit.take(&"acme").await;
        }
        assert_eq!(limit.try_take(&"acme").unwrap_err().retry_in, SECOND / 3);
        assert_eq!(limit.try_take(&"globex"), Ok(()));
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_thousand_calls_of_a_key_take_as_long_as_the_limit_says() {
        let limit = KeyedRateLimit::per(100, 10 * SECOND);
        let began = Instant::now();
        for _ in 0..1_000 {
            limit.take(&7).await;
        }
        // 100 at once, then one per 100 ms.
        let took = began.elapsed();
        assert!((89 * SECOND..92 * SECOND).contains(&took), "{took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_wait_for_a_key_get_one_call_each() {
        let limit = KeyedRateLimit::per_second(1);
        let began = Instant::now();
        let waiting = (0..5).map(|_| {
            let limit = limit.clone();
            tokio::spawn(async move {
                limit.take(&"acme").await;
                began.elapsed().as_secs()
            })
        });
        let mut seconds = Vec::new();
        for taken in waiting.collect::<Vec<_>>() {
            seconds.push(taken.await.unwrap());
        }
        seconds.sort_unstable();
        assert_eq!(seconds, [0, 1, 2, 3, 4]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_that_is_given_up_takes_nothing() {
        let limit = KeyedRateLimit::per_second(1);
        limit.take(&"acme").await;
        timeout(SECOND / 2, limit.take(&"acme")).await.unwrap_err();
        tokio::time::sleep(SECOND / 2).await;
        assert_eq!(limit.try_take(&"acme"), Ok(()));
    }

    #[tokio::test(start_paused = true)]
    async fn keys_that_are_not_used_are_forgotten_and_others_are_not() {
        let limit = KeyedRateLimit::per(2, 100 * SECOND);
        for key in 0..50 * FEW {
            limit.try_take(&key).unwrap();
            tokio::time::advance(SECOND / 10).await;
            assert!(limit.keys() <= 2 * FEW, "{} keys", limit.keys());
        }
        // Its second call is taken, and the first one is not available again yet.
        let last = 50 * FEW - 1;
        limit.try_take(&last).unwrap();
        for key in 0..FEW {
            limit.try_take(&(100 * FEW + key)).unwrap();
        }
        assert!(limit.try_take(&last).is_err(), "it was forgotten");
    }

    #[tokio::test(start_paused = true)]
    async fn few_keys_after_many_are_few_in_memory_too() {
        let limit = KeyedRateLimit::per_second(1);
        (0..10 * FEW).for_each(|key| limit.try_take(&key).unwrap());
        assert_eq!(limit.keys(), 10 * FEW);
        tokio::time::advance(2 * SECOND).await;
        let admitted = (0..=10 * FEW).filter(|_| limit.try_take(&0).is_ok()).count();
        assert_eq!((admitted, limit.keys()), (1, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn the_longest_period_admits_its_calls_and_no_more() {
        let limit = KeyedRateLimit::per(3, Duration::MAX);
        (0..3).for_each(|_| limit.try_take(&"acme").unwrap());
        assert!(limit.try_take(&"acme").unwrap_err().retry_in > 1_000_000 * SECOND);
    }

    #[tokio::test(start_paused = true)]
    async fn a_limit_of_nothing_admits_one_and_keys_stay_out_of_logs() {
        let limit = KeyedRateLimit::per_second(0);
        assert_eq!(limit.try_take(&"jane@example.com"), Ok(()));
        let reached = limit.try_take(&"jane@example.com").unwrap_err();
        let text = format!("{reached} {reached:?} {limit:?}");
        assert!(text.contains("in 1.0s") && !text.contains("jane"), "{text}");
    }
}
