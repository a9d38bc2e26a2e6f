//! cargo run -q -p messagekit-examples --bin 10-gates
//!
//! Gates hold a consumer back without failing a message. A rate limit spreads the calls to a payment provider; while the provider
//! refuses them, a circuit breaker lets one message try and the others wait.
//!
//! The handler has two phases: `charge` calls the provider outside of any transaction, and `book` writes what it answered. A charge that
//! was made is not made again when its transaction is rolled back; a process that ends in between makes it once more, so the provider
//! gets the event id as its idempotency key.
#![allow(clippy::print_stdout, reason = "an example talks to its reader")]

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use messagekit::gate::{BreakerState, CircuitBreaker, RateLimit};
use messagekit::{Backoff, Consumer, Envelope, Event, HandlerError, Outbox, Runner, Shutdown};
use messagekit_memory::{MemoryLog, MemoryStore, MemoryTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

/// A provider that others run: it may refuse calls.
#[derive(Default)]
struct Payments {
    refuses: AtomicBool,
    calls: AtomicU32,
}

/// The provider's answer.
struct Charge {
    pence: i64,
}

impl Payments {
    async fn charge(&self, order: Envelope<OrderPlaced>) -> Result<Charge, HandlerError> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        // Here a program calls the provider, with `order.event_id` as the idempotency key.
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.refuses.load(Ordering::Relaxed) {
            return Err(HandlerError::unavailable("payments answers 503"));
        }
        Ok(Charge { pence: order.data.pence })
    }

    #[allow(clippy::unused_async, reason = "a store other than memory is awaited")]
    async fn book(
        &self,
        tx: &mut MemoryTx,
        _: Envelope<OrderPlaced>,
        charge: &Charge,
    ) -> Result<(), HandlerError> {
        tx.add("charged pence", charge.pence);
        Ok(())
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let log = MemoryLog::new(1);
    let store = MemoryStore::with_log(&log);
    let outbox = Outbox::new(store.clone(), "order-service")?;
    let orders = (0..60).map(|n| OrderPlaced { order_id: format!("o-{n}"), pence: 100 });
    outbox.transaction(async |tx| Ok(outbox.add_all(tx, orders).await?)).await?;

    let payments = Arc::new(Payments::default());
    payments.refuses.store(true, Ordering::Relaxed);
    // Clones share their state: keep one to look at it, give others to more consumers of the same provider.
    let breaker = CircuitBreaker::new(2, Duration::from_millis(300));
    let consumer = Consumer::builder("payments", store.clone())
        .from(log)
        .on_call_with(Arc::clone(&payments), Payments::charge, Payments::book)
        // One after another: otherwise eight would meet a provider that is away.
        .calls_at_once(NonZeroU32::MIN)
        .backoff(Backoff::fixed(Duration::from_millis(10)))
        .gate(RateLimit::per(50, Duration::from_millis(500)))
        .gate(breaker.clone())
        .build()?;
    let (stats, shutdown) = (consumer.stats(), Shutdown::new());
    let running = Runner::new().part("payments", |shutdown| consumer.run(shutdown));
    let running = tokio::spawn(running.run(shutdown.clone()));

    while breaker.state() != BreakerState::Open {
        tokio::task::yield_now().await;
    }
    let held_back_by = stats.held_back_by().map(|(gate, _)| gate);
    println!(
        "after {} calls the consumer is held back by {held_back_by:?}",
        payments.calls.load(Ordering::Relaxed)
    );

    payments.refuses.store(false, Ordering::Relaxed);
    let began = Instant::now();
    stats.wait_until(|stats| stats.handled == 60).await?;
    println!("charged {} pence, {} messages failed", store.get("charged pence"), stats.read().set_aside);
    println!("at 100 orders a second: {}", began.elapsed() >= Duration::from_millis(80));

    shutdown.request();
    running.await??;
    Ok(())
}
