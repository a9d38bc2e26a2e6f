//! Consumers that share a database, under one name or under two.

use std::collections::BTreeSet;
use std::sync::Arc;

use messagekit::adapter::{Publisher, codec};
use messagekit::{Consumer, Envelope, Event, HandlerError, Shutdown, Stats};
use messagekit_memory::MemoryLog;
use messagekit_postgres::PgTx;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use sqlx::AssertSqlSafe;
use tokio::task::JoinHandle;

use crate::shop::{OrderPlaced, Shop, run};

const ORDERS: u64 = 300;

/// A service that reads every order, from its own log, and writes to its own table.
struct Service {
    stats: Stats,
    shutdown: Shutdown,
    running: JoinHandle<Result<(), messagekit::Error>>,
}

/// Inserts a row for the handled order.
async fn note(table: &&'static str, tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let insert = AssertSqlSafe(format!("INSERT INTO {table} VALUES ($1)"));
    sqlx::query(insert).bind(&order.data.order_id).execute(&mut **tx).await?;
    Ok(())
}

impl Service {
    async fn start(shop: &Shop, name: &str, table: &'static str, log: &MemoryLog) -> Self {
        let store = shop.database.store().await;
        let consumer = Consumer::builder(name, store)
            .from(log.topics([OrderPlaced::TOPIC]))
            .on_with(Arc::new(table), note);
        let consumer = consumer.build().unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        Self { stats, shutdown, running }
    }

    /// Waits until it has seen every order, and stops it. Returns how many it has handled, and how many were done before.
    async fn read_all(self) -> (u64, u64) {
        eventually("it has seen every order", DEADLINE, async || {
            assert!(!self.running.is_finished(), "the consumer has ended");
            let seen = self.stats.read();
            seen.handled + seen.duplicates == ORDERS
        })
        .await;
        self.shutdown.request();
        self.running.await.unwrap().unwrap();
        let seen = self.stats.read();
        (seen.handled, seen.duplicates)
    }
}

/// Returns two logs with the same orders, as two readers of one topic see them.
async fn same_orders() -> [MemoryLog; 2] {
    let logs = [MemoryLog::new(2), MemoryLog::new(2)];
    let order = |number: u64| {
        codec::encode(&Envelope::new(OrderPlaced::new(&format!("o-{number:03}"))), "shop").unwrap()
    };
    let orders: Vec<_> = (0..ORDERS).map(order).collect();
    for log in &logs {
        log.publish(&orders).await.into_iter().for_each(|result| result.unwrap());
    }
    logs
}

async fn shop() -> Shop {
    let shop = Shop::open().await;
    run(shop.store.pool(), "CREATE TABLE shipments (id text NOT NULL)").await;
    shop
}

async fn noted(shop: &Shop, table: &'static str) -> Vec<String> {
    let select = AssertSqlSafe(format!("SELECT id FROM {table} ORDER BY id"));
    sqlx::query_scalar(select).fetch_all(shop.store.pool()).await.unwrap()
}

fn all() -> Vec<String> {
    (0..ORDERS).map(|number| format!("o-{number:03}")).collect()
}

#[test]
fn services_that_share_a_database_each_handle_a_message_once() {
    block_on(async {
        let (shop, [first, second]) = (shop().await, same_orders().await);
        let billing = Service::start(&shop, "billing", "bills", &first).await;
        let shipping = Service::start(&shop, "shipping", "shipments", &second).await;
        assert_eq!((billing.read_all().await, shipping.read_all().await), ((ORDERS, 0), (ORDERS, 0)));
        assert_eq!((noted(&shop, "bills").await, noted(&shop, "shipments").await), (all(), all()));
    });
}

/// A name is one consumer, whatever its processes do: a message that one of them has handled is done for all.
#[test]
fn services_of_one_name_share_the_messages_of_one_consumer() {
    block_on(async {
        let (shop, [first, second]) = (shop().await, same_orders().await);
        let billing = Service::start(&shop, "billing", "bills", &first).await;
        let shipping = Service::start(&shop, "billing", "shipments", &second).await;
        let (billing, shipping) = (billing.read_all().await, shipping.read_all().await);
        assert_eq!((billing.0 + shipping.0, billing.1 + shipping.1), (ORDERS, ORDERS));
        let (bills, shipments) = (noted(&shop, "bills").await, noted(&shop, "shipments").await);
        let handled: BTreeSet<&String> = bills.iter().chain(&shipments).collect();
        assert_eq!(handled.len() as u64, ORDERS, "nothing is left out");
        assert_eq!((bills.len() + shipments.len()) as u64, ORDERS, "and nothing is done by both");
    });
}
