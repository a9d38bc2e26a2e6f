//! Billing: a bill, the customer's total and an event about the bill, in the transaction of the processed marker.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use messagekit::{Backoff, Consumer, Envelope, Error, Event, HandlerError, OnFailure, Outbox, Shutdown};
use messagekit_sqlite::{SqliteStore, SqliteTx};

use crate::events::{BillIssued, OrderPlaced, OrderShaky, OrderSpoiled};

pub(crate) const ATTEMPTS: NonZeroU32 = NonZeroU32::new(2).expect("two is not zero");
/// Handlers take far less time, however busy the machine: a placed order must not become a failed message.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// The handler that crashes its process for the fifth time has this time to answer, twice, before its message is dead.
const DEADLINE_OF_THE_DEADLY: Duration = Duration::from_secs(10);

pub(crate) struct Billing {
    outbox: Outbox<SqliteStore>,
    deadly: Option<u64>,
}

/// Bills orders until shutdown. The deadly order crashes the process.
pub(crate) async fn run(
    store: &SqliteStore,
    deadly: Option<u64>,
    policy: OnFailure,
    shutdown: Shutdown,
) -> Result<(), Error> {
    let billing = Arc::new(Billing::new(store, deadly));
    Consumer::builder("billing", store.clone())
        .from(store.topics([OrderPlaced::TOPIC]))
        .on_with(billing.clone(), Billing::placed)
        .on_with(billing.clone(), Billing::shaky)
        .on_with(billing, Billing::spoiled)
        .on_failure(policy)
        .attempts(ATTEMPTS)
        .backoff(Backoff::fixed(Duration::from_millis(5)))
        .deadline(if deadly.is_some() { DEADLINE_OF_THE_DEADLY } else { DEADLINE })
        .build()?
        .run(shutdown)
        .await
}

impl Billing {
    pub(crate) fn new(store: &SqliteStore, deadly: Option<u64>) -> Self {
        Self { outbox: Outbox::new(store.clone(), "billing-service").expect("a plain name"), deadly }
    }

    pub(crate) async fn placed(
        &self,
        tx: &mut SqliteTx,
        order: Envelope<OrderPlaced>,
    ) -> Result<(), HandlerError> {
        let OrderPlaced { number, customer, pence } = order.data.clone();
        self.bill(tx, BillIssued { number, customer, pence }.follow(&order)).await?;
        // After the effects, as a stack overflow in the last step would.
        if self.deadly == Some(number) {
            std::process::abort();
        }
        Ok(())
    }

    pub(crate) async fn shaky(
        &self,
        tx: &mut SqliteTx,
        order: Envelope<OrderShaky>,
    ) -> Result<(), HandlerError> {
        let OrderShaky { number, customer, pence } = order.data.clone();
        self.bill(tx, BillIssued { number, customer, pence }.follow(&order)).await?;
        // After the effects: they would be visible if they stayed.
        match order.delivery().map(|delivery| delivery.attempt) {
            Some(1) => Err(HandlerError::retryable("the first run of this order fails")),
            _ => Ok(()),
        }
    }

    pub(crate) async fn spoiled(
        &self,
        tx: &mut SqliteTx,
        order: Envelope<OrderSpoiled>,
    ) -> Result<(), HandlerError> {
        let OrderSpoiled { number, customer, pence } = order.data.clone();
        self.bill(tx, BillIssued { number, customer, pence }.follow(&order)).await?;
        Err(HandlerError::retryable("no run of this order succeeds"))
    }

    async fn bill(&self, tx: &mut SqliteTx, bill: Envelope<BillIssued>) -> Result<(), HandlerError> {
        let BillIssued { number, customer, pence } = bill.data.clone();
        tx.call(move |c| {
            c.execute(
                "INSERT INTO bills (number, customer, pence) VALUES (?1, ?2, ?3)",
                (number.cast_signed(), &customer, pence),
            )?;
            c.execute(
                "INSERT INTO totals VALUES (coalesce(?1, 'nobody'), ?2)
                 ON CONFLICT (customer) DO UPDATE SET pence = pence + excluded.pence",
                (&customer, pence),
            )
        })
        .await?;
        self.outbox.add(tx, bill).await?;
        Ok(())
    }
}
