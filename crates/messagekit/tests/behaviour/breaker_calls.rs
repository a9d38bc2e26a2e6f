//! Calls of a dependency through a circuit breaker: refused while it is open, and counted once.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use futures_util::FutureExt as _;
use messagekit::gate::{BreakerState, CallRefused, CircuitBreaker};
use messagekit::{Consumer, ConsumerBuilder, Envelope, HandlerError, HandlerErrorKind, OnFailure};
use messagekit_memory::{MemorySource, MemoryStore, MemoryTx};

use crate::fixture::{CONSUMER, FIFTY, Placed, World, pass, seconds, start, until};

/// A provider that is reached through a breaker which opens for a minute.
struct Provider {
    breaker: CircuitBreaker,
    is_down: AtomicBool,
    calls: AtomicUsize,
}

impl Provider {
    fn new(failures: u32) -> Arc<Self> {
        let (is_down, calls) = Default::default();
        Arc::new(Self { breaker: CircuitBreaker::new(failures, seconds(60)), is_down, calls })
    }

    fn is_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::Relaxed);
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::Relaxed)
    }

    async fn charge(&self) -> Result<(), HandlerError> {
        let answer = async {
            self.calls.fetch_add(1, Ordering::Relaxed);
            match self.is_down.load(Ordering::Relaxed) {
                true => Err(std::io::Error::other("connection refused")),
                false => Ok(()),
            }
        };
        self.breaker.call(answer).await
    }
}

async fn pay(provider: &Provider, _: &mut MemoryTx, _: Envelope<Placed>) -> Result<(), HandlerError> {
    provider.charge().await
}

fn billing(world: &World, provider: &Arc<Provider>) -> ConsumerBuilder<MemoryStore, MemorySource> {
    Consumer::builder(CONSUMER, world.store.clone())
        .from(world.topics())
        .batch(FIFTY)
        .on_failure(OnFailure::DeadLetter)
        .on_with(provider.clone(), pay)
}

#[tokio::test(start_paused = true)]
async fn a_call_is_not_made_while_its_breaker_is_open() {
    let provider = Provider::new(3);
    provider.is_down(true);
    for _ in 0..3 {
        let error = provider.charge().await.unwrap_err();
        assert_eq!(error.to_string(), "connection refused");
    }
    assert_eq!(provider.breaker.state(), BreakerState::Open);
    pass(seconds(48)).await;
    let refused = provider.charge().await.unwrap_err();
    assert_eq!((provider.calls(), refused.kind()), (3, HandlerErrorKind::Unavailable));
    assert!(refused.to_string().contains("open for another 12.0s"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn one_call_is_tried_after_the_open_time_and_its_result_decides() {
    let provider = Provider::new(1);
    for is_down in [true, false] {
        provider.is_down(true);
        provider.charge().await.unwrap_err();
        pass(seconds(60)).await;
        provider.is_down(is_down);
        let (is_tried, ends) = tokio::sync::oneshot::channel::<()>();
        let slow = provider.breaker.call(async {
            ends.await.map_err(HandlerError::of)?;
            if is_down { Err(HandlerError::unavailable("maintenance")) } else { Ok(()) }
        });
        let mut slow = std::pin::pin!(slow);
        assert!(slow.as_mut().now_or_never().is_none());
        let refused = provider.charge().await.unwrap_err();
        assert!(refused.to_string().contains("tries one call"), "{refused}");
        is_tried.send(()).unwrap();
        assert_eq!(slow.await.is_err(), is_down);
        let state = if is_down { BreakerState::Open } else { BreakerState::Closed };
        assert_eq!(provider.breaker.state(), state);
        pass(seconds(60)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_is_dropped_leaves_the_trial_to_the_next() {
    let provider = Provider::new(1);
    let dropped = async || {
        let hangs = provider.breaker.call(pending::<Result<(), HandlerError>>());
        tokio::time::timeout(seconds(5), hangs).await.unwrap_err();
    };
    dropped().await;
    assert_eq!(provider.breaker.state(), BreakerState::Closed);
    let limited = async { tokio::time::timeout(seconds(5), pending::<()>()).await };
    provider.breaker.call(limited).await.unwrap_err();
    assert_eq!(provider.breaker.state(), BreakerState::Open, "a limit inside of the call is its error");
    pass(seconds(60)).await;
    dropped().await;
    assert_eq!(provider.breaker.state(), BreakerState::HalfOpen);
    provider.charge().await.unwrap();
    assert_eq!(provider.breaker.state(), BreakerState::Closed);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_another_breaker_does_not_count() {
    let (provider, bank) = (Provider::new(1), Provider::new(1));
    bank.is_down(true);
    bank.charge().await.unwrap_err();
    let through_both = provider.breaker.call(bank.charge()).await.unwrap_err();
    assert_eq!(through_both.kind(), HandlerErrorKind::Unavailable);
    assert_eq!((provider.breaker.state(), bank.calls()), (BreakerState::Closed, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_says_nothing_of_the_provider() {
    let provider = Provider::new(1);
    let refuse = async || {
        let refused = async { Err::<(), _>(HandlerError::permanent("the card was refused")) };
        provider.breaker.call(refused).await.unwrap_err();
    };
    refuse().await;
    assert_eq!(provider.breaker.state(), BreakerState::Closed);
    provider.is_down(true);
    provider.charge().await.unwrap_err();
    pass(seconds(60)).await;
    refuse().await;
    assert_eq!(provider.breaker.state(), BreakerState::HalfOpen, "another call is tried");
    provider.is_down(false);
    provider.charge().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_message_waits_for_the_breaker_of_its_call() {
    let world = World::new(1);
    let provider = Provider::new(2);
    provider.is_down(true);
    world.push_all("a", 5).await;
    let consumer = start(billing(&world, &provider).backoff(messagekit::Backoff::fixed(seconds(1))));
    until(|| provider.breaker.state() == BreakerState::Open).await;
    let made = provider.calls();
    pass(seconds(50)).await;
    assert_eq!(provider.calls(), made, "nothing is called while it is open");
    let attempts =
        async || world.failed_messages().await.iter().map(|failed| failed.attempts).collect::<Vec<_>>();
    assert_eq!((attempts().await, world.committed(0)), (vec![1, 1], 2), "those that were called");
    provider.is_down(false);
    until(|| world.committed(0) == 5).await;
    assert_eq!(attempts().await, [1, 1], "waiting costs no attempt");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_breaker_that_is_a_gate_too_counts_a_run_once() {
    let world = World::new(1);
    let provider = Provider::new(4);
    provider.is_down(true);
    world.push_all("a", 5).await;
    let gated = billing(&world, &provider).one_by_one().gate(provider.breaker.clone());
    let consumer = start(gated.backoff(messagekit::Backoff::fixed(seconds(24 * 60 * 60))));
    until(|| provider.breaker.state() == BreakerState::Open).await;
    assert_eq!(provider.calls(), 4, "one call of each run, and each counts once");
    // The trial message of the gate makes its call.
    provider.is_down(false);
    until(|| world.committed(0) == 5).await;
    assert_eq!((provider.breaker.state(), provider.calls()), (BreakerState::Closed, 5));
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn calls_beside_an_idle_consumer_open_the_breaker_of_its_gate() {
    let world = World::new(1);
    let provider = Provider::new(3);
    let consumer = start(billing(&world, &provider).gate(provider.breaker.clone()));
    world.push_all("a", 1).await;
    until(|| world.committed(0) == 1).await;
    provider.is_down(true);
    for _ in 0..3 {
        provider.charge().await.unwrap_err();
    }
    assert_eq!(provider.breaker.state(), BreakerState::Open);
    pass(seconds(60)).await;
    let hangs = provider.breaker.call(pending::<Result<(), HandlerError>>());
    let mut hangs = std::pin::pin!(hangs);
    assert!(hangs.as_mut().now_or_never().is_none());
    let refused = provider.charge().await.unwrap_err();
    let cause = refused.cause::<CallRefused>().expect("the cause of a refusal");
    assert_eq!(cause.retry_in, None, "one call is tried");
    consumer.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_call_that_lasts_longer_than_the_open_time_gives_no_way_in() {
    let provider = Provider::new(1);
    let (go_on, goes_on) = tokio::sync::oneshot::channel::<()>();
    let old = provider.breaker.call(async {
        goes_on.await.map_err(HandlerError::of)?;
        provider.charge().await
    });
    let mut old = std::pin::pin!(old);
    assert!(old.as_mut().now_or_never().is_none());
    provider.is_down(true);
    provider.charge().await.unwrap_err();
    pass(seconds(60)).await;
    let trial = provider.breaker.call(pending::<Result<(), HandlerError>>());
    let mut trial = std::pin::pin!(trial);
    assert!(trial.as_mut().now_or_never().is_none());
    go_on.send(()).unwrap();
    let refused = old.await.unwrap_err();
    assert!(refused.cause::<CallRefused>().is_some(), "{refused}");
    assert_eq!(provider.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_call_inside_another_one_counts_with_it() {
    let provider = Provider::new(2);
    provider.is_down(true);
    let nested = async || provider.breaker.call(provider.charge()).await;
    for state in [BreakerState::Closed, BreakerState::Open] {
        nested().await.unwrap_err();
        assert_eq!(provider.breaker.state(), state);
    }
    pass(seconds(60)).await;
    provider.is_down(false);
    nested().await.unwrap();
    assert_eq!((provider.breaker.state(), provider.calls()), (BreakerState::Closed, 3));
}

#[tokio::test(start_paused = true)]
async fn a_panic_while_a_call_is_judged_leaves_the_trial_to_the_next() {
    let panics = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&panics);
    let breaker = CircuitBreaker::counting(1, seconds(60), move |_| {
        assert!(!asked.load(Ordering::Relaxed), "a bug of the user");
        true
    });
    let fail = || breaker.call(async { Err::<(), _>(HandlerError::retryable("no")) });
    fail().await.unwrap_err();
    pass(seconds(60)).await;
    panics.store(true, Ordering::Relaxed);
    AssertUnwindSafe(fail()).catch_unwind().await.unwrap_err();
    breaker.call(async { Ok::<_, HandlerError>(()) }).await.unwrap();
    assert_eq!(breaker.state(), BreakerState::Closed);
}
