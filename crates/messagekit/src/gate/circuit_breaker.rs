//! A gate that closes while a dependency fails.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::{Instant, Sleep};

use super::breaker::{Admission, Breaker, Verdict};
use super::watched::Watched;
use super::{Abandon, BatchView, BreakerState, ClosedSince, Gate, Outcome, Permit};
use crate::store::FailureKind;

/// Admits nothing for a time after a number of consecutive failed runs. Then one trial message runs, and its outcome decides.
///
/// It counts the failures that a dependency may cause: an error of a handler that is retryable or unavailable, and a handler
/// that misses its deadline. [`counting`](Self::counting) chooses others. A handled message ends the row; a failure that is not
/// counted changes nothing, and neither does an outage of the consumer's own store.
///
/// [`call`](Self::call) makes a call of a dependency through it, inside a handler or anywhere else.
///
/// A result counts only for the state that admitted the message: a call from before the breaker opened neither closes nor opens
/// it. Clones share the state, so all consumers of one dependency can wait together. Keep a clone to read
/// [`state`](Self::state).
///
/// ```
/// use std::time::Duration;
/// use messagekit::gate::{BreakerState, CircuitBreaker};
///
/// let breaker = CircuitBreaker::new(5, Duration::from_secs(30));
/// // Consumer::builder("billing", store).gate(breaker.clone()) …
/// assert_eq!(breaker.state(), BreakerState::Closed);
/// ```
pub struct CircuitBreaker {
    pub(super) shared: Arc<Shared>,
    handle: u64,
    timer: Option<(Instant, Pin<Box<Sleep>>)>,
}

/// Handles that wait for the trial message are woken by a change of the state.
pub(super) struct Shared {
    pub(super) breaker: Watched<Breaker>,
    pub(super) counts: Box<dyn Fn(FailureKind) -> bool + Send + Sync>,
}

impl CircuitBreaker {
    /// Creates a closed breaker that opens for `open_for` after `failures` consecutive failed runs (0 counts as 1).
    pub fn new(failures: u32, open_for: Duration) -> Self {
        Self::counting(failures, open_for, |kind| {
            matches!(kind, FailureKind::Failed | FailureKind::TooSlow | FailureKind::Unavailable)
        })
    }

    /// Creates a breaker as [`new`](Self::new) does, which counts a failed run if `counts` returns true for its kind.
    ///
    /// ```
    /// use std::time::Duration;
    /// use messagekit::adapter::FailureKind;
    /// use messagekit::gate::CircuitBreaker;
    ///
    /// // Only a dependency that is known to be away.
    /// let breaker = CircuitBreaker::counting(3, Duration::from_secs(30), |kind| kind == FailureKind::Unavailable);
    /// # drop(breaker);
    /// ```
    pub fn counting(
        failures: u32,
        open_for: Duration,
        counts: impl Fn(FailureKind) -> bool + Send + Sync + 'static,
    ) -> Self {
        let breaker = Watched::new(Breaker::new(failures, open_for));
        Self::of(Arc::new(Shared { breaker, counts: Box::new(counts) }))
    }

    fn of(shared: Arc<Shared>) -> Self {
        let handle = shared.breaker.handle();
        Self { shared, handle, timer: None }
    }

    /// Returns the current state.
    pub fn state(&self) -> BreakerState {
        self.shared.breaker.look(|breaker| breaker.state(Instant::now()))
    }

    /// Waits until the breaker is in `state`; at once if it is. A state that passes while the caller is not polled may be missed.
    ///
    /// ```
    /// # tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
    /// use std::time::Duration;
    /// use messagekit::gate::{BreakerState, CircuitBreaker};
    ///
    /// let breaker = CircuitBreaker::new(5, Duration::from_secs(30));
    /// breaker.wait_for(BreakerState::Closed).await;
    /// # });
    /// ```
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait_for(&self, state: BreakerState) {
        let mut waiting = self.clone();
        poll_fn(|cx| waiting.poll_state(state, cx)).await;
    }

    fn poll_state(&mut self, wanted: BreakerState, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            let mut until = None;
            let reached = self.shared.breaker.poll(self.handle, cx, |breaker| {
                let now = Instant::now();
                until = breaker.open_until(now);
                (breaker.state(now) == wanted).then_some(())
            });
            // Nothing changes when the open time ends: the state depends on the time.
            match until {
                Some(until) if reached.is_pending() => ready!(self.poll_until(until, cx)),
                _ => return reached,
            }
        }
    }

    fn poll_until(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        let timer = match &mut self.timer {
            Some((at, timer)) if *at == until => timer,
            timer => &mut timer.insert((until, Box::pin(tokio::time::sleep_until(until)))).1,
        };
        ready!(timer.as_mut().poll(cx));
        self.timer = None;
        Poll::Ready(())
    }
}

impl Shared {
    /// Returns the results of a batch, in order.
    fn verdicts(&self, outcome: &Outcome) -> Vec<Verdict> {
        let handled = outcome.handled.then_some(Verdict::Success);
        let failed = outcome.failed.iter().filter(|kind| (self.counts)(**kind)).map(|_| Verdict::Failure);
        let verdicts: Vec<Verdict> = handled.into_iter().chain(failed).collect();
        if verdicts.is_empty() { vec![Verdict::Neutral] } else { verdicts }
    }
}

/// Does not wake the polling handle: a handle with a permit is not among the waiting ones.
impl Abandon for Shared {
    fn abandon(&self, stamp: u64, _unused: u32) {
        self.breaker.change(|breaker| breaker.abandon(stamp));
    }
}

impl Gate for CircuitBreaker {
    fn name(&self) -> &'static str {
        "circuit_breaker"
    }

    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit> {
        loop {
            let permit =
                |stamp, granted| Poll::Ready(Permit::new(stamp, granted, Some(self.shared.clone() as _)));
            let admission =
                self.shared.breaker.poll(self.handle, cx, |breaker| match breaker.admit(Instant::now()) {
                    Admission::AfterTrial => None,
                    known => Some(known),
                });
            let until = match ready!(admission) {
                Admission::All(stamp) => return permit(stamp, batch.messages),
                Admission::One(stamp) => return permit(stamp, 1),
                Admission::AfterTrial => return Poll::Pending,
                Admission::Until(until) => until,
            };
            ready!(self.poll_until(until, cx));
        }
    }

    fn closed_since(&self) -> Option<ClosedSince> {
        let shared = Arc::clone(&self.shared);
        Some(Arc::new(move || shared.breaker.look(|breaker| breaker.opened_at(Instant::now()))))
    }

    fn is_trying(&self) -> bool {
        self.state() == BreakerState::HalfOpen
    }

    fn settle(&mut self, permit: Permit, outcome: &Outcome) {
        // First, because a function of the user may panic: the permit then goes back.
        let verdicts = self.shared.verdicts(outcome);
        let (stamp, _) = permit.redeem();
        self.shared.breaker.change(|breaker| {
            verdicts.into_iter().for_each(|verdict| breaker.record(stamp, verdict, Instant::now()));
        });
    }
}

impl Clone for CircuitBreaker {
    fn clone(&self) -> Self {
        Self::of(Arc::clone(&self.shared))
    }
}

impl Drop for CircuitBreaker {
    fn drop(&mut self) {
        self.shared.breaker.leave(self.handle);
    }
}

impl fmt::Debug for CircuitBreaker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CircuitBreaker").field("state", &self.state()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};

    use super::*;
    use crate::transport::Lane;

    const VIEW: BatchView = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: 9, bytes: 90 };
    const OPEN_FOR: Duration = Duration::from_secs(30);

    fn failed() -> Outcome {
        Outcome { used: 1, failed: vec![FailureKind::Failed], ..Outcome::default() }
    }

    async fn admit(gate: &mut CircuitBreaker) -> Permit {
        poll_fn(|cx| gate.poll_admit(&VIEW, cx)).await
    }

    #[tokio::test(start_paused = true)]
    async fn an_open_breaker_later_lets_one_trial_pass_and_others_wait() {
        let mut gate = CircuitBreaker::new(2, OPEN_FOR);
        let mut other = gate.clone();
        for _ in 0..2 {
            let permit = admit(&mut gate).await;
            gate.settle(permit, &failed());
        }
        assert_eq!(gate.state(), BreakerState::Open);
        let opened = Instant::now();
        let trial = admit(&mut gate).await;
        assert_eq!((opened.elapsed(), trial.granted()), (OPEN_FOR, 1));
        let waits = tokio::spawn(async move { admit(&mut other).await.granted() });
        tokio::task::yield_now().await;
        assert!(!waits.is_finished());
        gate.settle(trial, &Outcome { used: 1, handled: true, ..Outcome::default() });
        assert_eq!((waits.await.unwrap(), gate.state()), (9, BreakerState::Closed));
    }

    #[tokio::test(start_paused = true)]
    async fn each_state_can_be_awaited() {
        let mut gate = CircuitBreaker::new(1, OPEN_FOR);
        let awaited = |gate: &CircuitBreaker, state| {
            let watched = gate.clone();
            tokio::spawn(async move { watched.wait_for(state).await })
        };
        let opens = awaited(&gate, BreakerState::Open);
        let permit = admit(&mut gate).await;
        tokio::task::yield_now().await;
        assert!(!opens.is_finished());
        gate.settle(permit, &failed());
        opens.await.unwrap();
        let opened = Instant::now();
        gate.wait_for(BreakerState::HalfOpen).await;
        assert_eq!(opened.elapsed(), OPEN_FOR);
        let closes = awaited(&gate, BreakerState::Closed);
        let trial = admit(&mut gate).await;
        gate.settle(trial, &Outcome { used: 1, handled: true, ..Outcome::default() });
        closes.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_while_an_outcome_is_judged_gives_the_trial_back() {
        let mut gate = CircuitBreaker::counting(1, OPEN_FOR, |kind| {
            assert_ne!(kind, FailureKind::Panicked, "a bug of the user");
            true
        });
        let permit = admit(&mut gate).await;
        gate.settle(permit, &failed());
        let trial = admit(&mut gate).await;
        let panicked = Outcome { used: 1, failed: vec![FailureKind::Panicked], ..Outcome::default() };
        catch_unwind(AssertUnwindSafe(|| gate.settle(trial, &panicked))).expect_err("it panics");
        assert_eq!(admit(&mut gate).await.granted(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_permit_gives_the_trial_back() {
        let mut gate = CircuitBreaker::new(1, OPEN_FOR);
        let permit = admit(&mut gate).await;
        gate.settle(permit, &failed());
        drop(admit(&mut gate).await);
        assert_eq!(gate.state(), BreakerState::HalfOpen);
        assert_eq!(admit(&mut gate).await.granted(), 1);
    }
}
