//! MESSAGEKIT_DATABASE__0__URL=sqlite:payments.db cargo run -q -p messagekit-examples --bin 17-payments-service
//!
//! A whole service: it takes the payment of each order from a provider, books it, and says so in an event of its own.
//! `docs/write-a-service.md` walks through it.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use messagekit::gate::{CircuitBreaker, RateLimit};
use messagekit::{Backoff, Consumer, Envelope, Error, Event, HandlerError, Outbox};
use messagekit_service::Service;
use messagekit_sqlite::{SqliteSource, SqliteStore, SqliteTx};
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
pub(crate) struct OrderPlaced {
    pub(crate) order_id: String,
    pub(crate) pence: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "payments.payment.taken", key = "order_id")]
pub(crate) struct PaymentTaken {
    pub(crate) order_id: String,
    pub(crate) charge: String,
}

/// The provider of payments. A real one is a client of its HTTP interface.
#[derive(Default)]
pub(crate) struct Provider {
    pub(crate) is_away: AtomicBool,
}

impl Provider {
    /// Charges once per `key`: another call with the same one answers the same charge.
    async fn charge(&self, key: &str, _pence: i64) -> Result<String, HandlerError> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        if self.is_away.load(Ordering::Relaxed) {
            return Err(HandlerError::unavailable("the provider of payments answers 503"));
        }
        Ok(format!("charge-of-{key}"))
    }
}

/// What the handlers of this service share.
pub(crate) struct Payments {
    pub(crate) provider: Arc<Provider>,
    outbox: Outbox<SqliteStore>,
}

struct Charge(String);

impl Payments {
    /// Calls the provider, outside of any transaction.
    async fn charge(&self, order: Envelope<OrderPlaced>) -> Result<Charge, HandlerError> {
        let OrderPlaced { order_id, pence } = &order.data;
        if *pence <= 0 {
            return Err(HandlerError::permanent(format!("order {order_id} costs {pence} pence")));
        }
        Ok(Charge(self.provider.charge(&order.event_id.to_string(), *pence).await?))
    }

    /// Books what it answered: the row, the event and the processed marker are one transaction.
    async fn book(
        &self,
        tx: &mut SqliteTx,
        order: Envelope<OrderPlaced>,
        Charge(charge): &Charge,
    ) -> Result<(), HandlerError> {
        let taken = PaymentTaken { order_id: order.data.order_id.clone(), charge: charge.clone() };
        let row = (taken.order_id.clone(), order.data.pence, taken.charge.clone());
        tx.call(move |c| c.execute("INSERT INTO payments VALUES (?1, ?2, ?3)", row)).await?;
        self.outbox.add(tx, taken.follow(&order)).await?;
        Ok(())
    }
}

pub(crate) async fn open(path: &Path) -> Result<SqliteStore, Error> {
    let store = SqliteStore::open(path).await?;
    create_tables(&store).await?;
    Ok(store)
}

pub(crate) async fn create_tables(store: &SqliteStore) -> Result<(), Error> {
    const TABLES: &str =
        "CREATE TABLE IF NOT EXISTS payments (order_id TEXT PRIMARY KEY, pence INTEGER, charge TEXT)";
    store.transaction(async |tx| Ok(tx.call(|c| c.execute_batch(TABLES)).await?)).await
}

/// The consumer, as the program runs it and as the tests call it.
pub(crate) fn consumer(
    store: &SqliteStore,
    provider: Arc<Provider>,
) -> Result<Consumer<SqliteStore, SqliteSource>, Error> {
    let payments = Arc::new(Payments { provider, outbox: Outbox::new(store.clone(), "payments")? });
    Consumer::builder("payments", store.clone())
        .from(store.clone())
        .on_call_with(payments, Payments::charge, Payments::book)
        .backoff(Backoff::new(Duration::from_secs(1), 2.0, Duration::from_secs(60)))
        .gate(RateLimit::per_second(50))
        .gate(CircuitBreaker::new(5, Duration::from_secs(10)))
        .build()
}

/// The whole of the service: what it reads from its settings, and what it runs until a signal.
async fn payments(service: Service) -> Result<(), Error> {
    let settings = service.settings();
    let store = open(&settings.complete(settings.sqlite("payments"))?).await?;
    let consumer = consumer(&store, Arc::new(Provider::default()))?;
    service.store("payments", store).consumer(consumer).run().await
}

#[tokio::main]
async fn main() -> ExitCode {
    messagekit_service::main("payments", payments).await
}
