//! Billing in two phases: a payment service is called for an order, and the bill is written with its answer.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use messagekit::{Backoff, Consumer, Envelope, Error, Event, HandlerError, OnFailure, Shutdown};
use messagekit_sqlite::{SqliteStore, SqliteTx};

use crate::billing::{ATTEMPTS, Billing, DEADLINE};
use crate::events::{OrderPlaced, OrderShaky, OrderSpoiled};

/// A payment service that knows each call, and outlives the processes that call it: a file with a line for each.
struct Payments {
    calls: File,
    billing: Billing,
}

/// Its answer.
struct Payment {
    number: u64,
}

/// Bills orders until shutdown. The calls are in the file that is named after that of the shop.
pub(crate) async fn run(store: &SqliteStore, file: &Path, shutdown: Shutdown) -> Result<(), Error> {
    let calls = OpenOptions::new().create(true).append(true).open(file.with_extension("calls"));
    let calls = calls.expect("a file beside that of the shop");
    let payments = Arc::new(Payments { calls, billing: Billing::new(store, None) });
    Consumer::builder("billing", store.clone())
        .from(store.topics([OrderPlaced::TOPIC]))
        .on_call_with(Arc::clone(&payments), Payments::charge_placed, Payments::placed)
        .on_call_with(Arc::clone(&payments), Payments::charge_shaky, Payments::shaky)
        .on_with(payments, Payments::spoiled)
        .on_failure(OnFailure::DeadLetter)
        .attempts(ATTEMPTS)
        .backoff(Backoff::fixed(Duration::from_millis(5)))
        .deadline(DEADLINE)
        .build()?
        .run(shutdown)
        .await
}

impl Payments {
    async fn charge_placed(&self, order: Envelope<OrderPlaced>) -> Result<Payment, HandlerError> {
        self.charge(order.data.number).await
    }

    async fn charge_shaky(&self, order: Envelope<OrderShaky>) -> Result<Payment, HandlerError> {
        self.charge(order.data.number).await
    }

    async fn charge(&self, number: u64) -> Result<Payment, HandlerError> {
        // One write, so that lines of two processes do not mix.
        (&self.calls).write_all(format!("{number}\n").as_bytes())?;
        tokio::task::yield_now().await;
        Ok(Payment { number })
    }

    async fn placed(
        &self,
        tx: &mut SqliteTx,
        order: Envelope<OrderPlaced>,
        payment: &Payment,
    ) -> Result<(), HandlerError> {
        assert_eq!(payment.number, order.data.number, "the answer belongs to the order");
        self.billing.placed(tx, order).await
    }

    async fn shaky(
        &self,
        tx: &mut SqliteTx,
        order: Envelope<OrderShaky>,
        payment: &Payment,
    ) -> Result<(), HandlerError> {
        assert_eq!(payment.number, order.data.number, "the answer belongs to the order");
        self.billing.shaky(tx, order).await
    }

    async fn spoiled(&self, tx: &mut SqliteTx, order: Envelope<OrderSpoiled>) -> Result<(), HandlerError> {
        self.billing.spoiled(tx, order).await
    }
}
