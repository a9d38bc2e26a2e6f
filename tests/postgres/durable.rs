//! A server that does not wait for its disk by default, and crashes.

use messagekit::adapter::{Publisher, codec};
use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store};
use messagekit_memory::MemoryLog;
use messagekit_postgres::{PgTx, PostgresStore, migrations};
use messagekit_testkit::{DEADLINE, block_on, eventually};

use crate::shop::{OrderPlaced, insert_bill, run};
use messagekit_tests::Server;

const ORDERS: i64 = 20;

async fn bill(tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    insert_bill(tx, &order.data.order_id).await;
    Ok(())
}

async fn count(store: &PostgresStore, table: &'static str) -> i64 {
    let count = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
    let mut tx = store.begin().await.unwrap();
    let count = sqlx::query_scalar(count).fetch_one(&mut *tx).await.unwrap();
    store.rollback(tx).await.unwrap();
    count
}

#[test]
fn settled_messages_survive_a_crash_despite_async_commits() {
    block_on(async {
        // Commits without a wait are written as late as the server allows.
        let server = Server::start(&["wal_writer_delay=10s"]).await;
        let url = server.url("shop");
        migrations::migrate(&url).await.unwrap();
        let store = PostgresStore::connect(&url).await.unwrap();
        run(
            store.pool(),
            "CREATE TABLE bills (id text NOT NULL); ALTER DATABASE shop SET synchronous_commit = off",
        )
        .await;
        store.close().await;
        let store = PostgresStore::connect(&url).await.unwrap();
        let by_default: String =
            sqlx::query_scalar("SHOW synchronous_commit").fetch_one(store.pool()).await.unwrap();
        assert_eq!(by_default, "off", "void: the server waits by itself");

        let log = MemoryLog::new(1);
        let event =
            |number| codec::encode(&Envelope::new(OrderPlaced::new(&format!("o-{number}"))), "shop").unwrap();
        for result in log.publish(&(0..ORDERS).map(event).collect::<Vec<_>>()).await {
            result.unwrap();
        }
        let consumer =
            Consumer::builder("billing", store.clone()).from(log.topics([OrderPlaced::TOPIC])).on(bill);
        let shutdown = Shutdown::new();
        let running = tokio::spawn(consumer.build().unwrap().run(shutdown.clone()));
        eventually("all are settled", DEADLINE, async || {
            log.committed("billing", OrderPlaced::TOPIC, 0) == ORDERS
        })
        .await;
        server.crash().await;
        shutdown.request();
        running.await.unwrap().unwrap();
        assert_eq!(count(&store, "bills").await, ORDERS);

        let mut tx = store.begin().await.unwrap();
        insert_bill(&mut tx, "written").await;
        let outbox = Outbox::new(store.clone(), "shop").unwrap();
        outbox.add(&mut tx, OrderPlaced::new("written")).await.unwrap();
        outbox.commit(tx).await.unwrap();
        server.crash().await;
        assert_eq!(
            (count(&store, "bills").await, count(&store, "messagekit.outbox_events").await),
            (ORDERS + 1, 1)
        );
    });
}
