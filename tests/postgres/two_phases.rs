//! A handler in two phases on PostgreSQL: no transaction is open during its call.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Backoff, Consumer, Envelope, Event, HandlerError, Shutdown};
use messagekit_memory::MemoryLog;
use messagekit_postgres::PgTx;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use sqlx::PgPool;
use tokio::sync::Mutex;

use crate::shop::{OrderPlaced, Shop};

const ORDERS: u32 = 20;
/// The order whose first run fails.
const SHAKY: &str = "o-5";

/// Answers while no transaction is open, and notes the calls.
struct Provider {
    pool: PgPool,
    calls: Mutex<Vec<String>>,
}

impl Provider {
    /// Waits until no session has a transaction open. One around the call would be open for as long as it waits.
    async fn charge(&self, order: Envelope<OrderPlaced>) -> Result<String, HandlerError> {
        let open = "SELECT count(*) FROM pg_stat_activity
                    WHERE datname = current_database() AND pid <> pg_backend_pid()
                      AND state LIKE 'idle in transaction%'";
        while sqlx::query_scalar::<_, i64>(open).fetch_one(&self.pool).await? > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        self.calls.lock().await.push(order.data.order_id.clone());
        Ok(format!("charged {}", order.data.order_id))
    }

    async fn book(
        &self,
        tx: &mut PgTx,
        order: Envelope<OrderPlaced>,
        receipt: &String,
    ) -> Result<(), HandlerError> {
        sqlx::query("INSERT INTO bills VALUES ($1)").bind(receipt).execute(&mut **tx).await?;
        let is_first = order.delivery().is_some_and(|delivery| delivery.attempt == 1);
        if order.data.order_id == SHAKY && is_first {
            return Err(HandlerError::retryable("the first run of this order fails"));
        }
        Ok(())
    }
}

#[test]
fn a_call_is_made_while_no_transaction_is_open() {
    block_on(async {
        let (shop, log) = (Shop::open().await, MemoryLog::new(1));
        let provider = Arc::new(Provider { pool: shop.store.pool().clone(), calls: Mutex::default() });
        let names: Vec<String> = (0..ORDERS).map(|number| format!("o-{number}")).collect();
        let orders: Vec<_> = names
            .iter()
            .map(|name| codec::encode(&Envelope::new(OrderPlaced::new(name)), "shop").unwrap())
            .collect();
        // Each comes twice.
        for published in log.publish(&[orders.clone(), orders].concat()).await {
            published.unwrap();
        }
        let consumer = Consumer::builder("payments", shop.store.clone())
            .from(log.topics([OrderPlaced::TOPIC]))
            .backoff(Backoff::fixed(Duration::from_millis(5)))
            .on_call_with(Arc::clone(&provider), Provider::charge, Provider::book)
            .build()
            .unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        eventually("all are handled", DEADLINE, async || {
            assert!(!running.is_finished(), "the consumer has ended");
            stats.read().handled == u64::from(ORDERS)
        })
        .await;
        shutdown.request();
        running.await.unwrap().unwrap();

        let mut called = provider.calls.lock().await.clone();
        called.sort();
        let mut expected: Vec<String> = [names.clone(), vec![SHAKY.to_owned()]].concat();
        expected.sort();
        assert_eq!(called, expected, "once for each run, not for copies");
        let bills: i64 = sqlx::query_scalar("SELECT count(DISTINCT id) FROM bills")
            .fetch_one(shop.store.pool())
            .await
            .unwrap();
        assert_eq!(bills, i64::from(ORDERS));
    });
}
