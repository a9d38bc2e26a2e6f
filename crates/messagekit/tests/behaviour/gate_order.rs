//! Gates are called in the order in which they were added.

use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use messagekit::adapter::Lane;
use messagekit::gate::{BatchView, CircuitBreaker, Concurrency, Gate, Outcome, Permit, RateLimit};
use messagekit_memory::MemoryStore;

use crate::fixture::{World, pass, seconds, start, until};

/// Gate slot of due failed messages.
const FAILED_MESSAGES: u32 = u32::MAX;

/// The calls of gates for a lane's batch, in order.
type Calls = Arc<Mutex<Vec<&'static str>>>;

/// Records each call.
struct Noted<G> {
    gate: G,
    calls: Calls,
    store: MemoryStore,
}

impl<G: Gate> Gate for Noted<G> {
    fn name(&self) -> &'static str {
        self.gate.name()
    }

    fn poll_admit(&mut self, batch: &BatchView, cx: &mut Context<'_>) -> Poll<Permit> {
        if batch.lane.slot != FAILED_MESSAGES {
            assert_eq!(self.store.open_transactions(), 0, "gates come before the transaction");
            self.calls.lock().expect("no panic").push(self.gate.name());
        }
        self.gate.poll_admit(batch, cx)
    }

    fn is_trying(&self) -> bool {
        self.gate.is_trying()
    }

    fn settle(&mut self, permit: Permit, outcome: &Outcome) {
        self.gate.settle(permit, outcome);
    }
}

#[tokio::test(start_paused = true)]
async fn gates_grant_permits_in_added_order_before_the_transaction() {
    const ADVISED: [&str; 3] = ["rate_limit", "circuit_breaker", "concurrency"];
    const OTHER: [&str; 3] = ["concurrency", "rate_limit", "circuit_breaker"];
    for order in [ADVISED, OTHER] {
        let (world, calls) = (World::new(1), Calls::default());
        let mut builder = world.billing();
        for name in order {
            let (calls, store) = (calls.clone(), world.store.clone());
            builder = match name {
                "rate_limit" => builder.gate(Noted { gate: RateLimit::per_second(100), calls, store }),
                "circuit_breaker" => {
                    builder.gate(Noted { gate: CircuitBreaker::new(5, seconds(30)), calls, store })
                }
                _ => builder.gate(Noted { gate: Concurrency::new(8), calls, store }),
            };
        }
        let consumer = start(builder);
        world.push_all("a", 3).await;
        until(|| world.applied().len() == 3).await;
        consumer.stop().await;
        let calls = calls.lock().unwrap().clone();
        assert!(!calls.is_empty() && calls.chunks(3).all(|round| round == order), "{order:?}: {calls:?}");
    }
}

/// Both gates have no permits left: the first one holds the batch back, and the second is not called.
#[tokio::test(start_paused = true)]
async fn of_two_closed_gates_the_one_that_was_added_first_holds_back() {
    for rate_comes_first in [true, false] {
        let world = World::new(1);
        let (mut rate, mut permits) = (RateLimit::per(1, seconds(3_600)), Concurrency::new(1));
        let one = BatchView { lane: Lane { slot: 0, epoch: 1 }, messages: 1, bytes: 1 };
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(used) = rate.poll_admit(&one, &mut cx) else { panic!("it was not used") };
        let Poll::Ready(permit) = permits.poll_admit(&one, &mut cx) else { panic!("it is free") };
        let (builder, first) = match rate_comes_first {
            true => (world.billing().gate(rate.clone()).gate(permits.clone()), "rate_limit"),
            false => (world.billing().gate(permits.clone()).gate(rate.clone()), "concurrency"),
        };
        world.push_all("a", 3).await;
        let consumer = start(builder);
        pass(seconds(60)).await;
        let (name, since) = consumer.stats.held_back_by().expect("both are closed");
        assert_eq!((name, since.as_secs(), world.applied().len()), (first, 60, 0));
        drop((used, permit));
        until(|| !world.applied().is_empty()).await;
        consumer.stop().await;
    }
}
