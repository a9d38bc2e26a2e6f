//! Messages that a consumer passed over because of a misspelt event type, read again as `docs/ordering-and-failures.md` says.

use std::path::PathBuf;
use std::time::Duration;

use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Stats, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::time::timeout;

use crate::command::on;

const DEADLINE: Duration = Duration::from_secs(300);

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

/// The consumer's copy of [`OrderPlaced`], with a slip.
#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.palced", key = "order_id")]
struct OrderPalced {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.cancelled", key = "order_id")]
struct OrderCancelled {
    order_id: String,
}

async fn handle<E>(tx: &mut SqliteTx, order: Envelope<E>) -> Result<(), HandlerError>
where
    E: Event + Send,
{
    let event = (order.event_id.to_string(), E::TYPE);
    tx.call(move |c| c.execute("INSERT INTO effects (event, type) VALUES (?1, ?2)", event)).await?;
    Ok(())
}

/// A file with three orders of a key, the last of which is cancelled.
struct Shop {
    folder: TempDir,
    store: SqliteStore,
}

impl Shop {
    async fn with_three_orders() -> Self {
        let folder = TempDir::new().unwrap();
        let store = SqliteStore::open(folder.path().join("shop.db")).await.unwrap();
        let outbox = Outbox::new(store.clone(), "order-service").unwrap();
        let mut tx = store.begin().await.unwrap();
        tx.call(|c| c.execute_batch("CREATE TABLE effects (event TEXT, type TEXT)")).await.unwrap();
        let order_id = || "o-1".to_owned();
        outbox.add_all(&mut tx, (0..3).map(|_| OrderPlaced { order_id: order_id() })).await.unwrap();
        outbox.add(&mut tx, OrderCancelled { order_id: order_id() }).await.unwrap();
        outbox.commit(tx).await.unwrap();
        Self { folder, store }
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("shop.db")
    }

    /// Counts the effects of a type, and the messages among them.
    async fn effects(&self, event_type: &'static str) -> (i64, i64) {
        let mut tx = self.store.begin().await.unwrap();
        let select = "SELECT count(*), count(DISTINCT event) FROM effects WHERE type = ?1";
        let counted = tx
            .call(move |c| c.query_row(select, (event_type,), |row| Ok((row.get(0)?, row.get(1)?))))
            .await
            .unwrap();
        self.store.rollback(tx).await.unwrap();
        counted
    }

    fn replay(&self, arguments: &[&str]) -> String {
        on(&self.file(), &[&["replay", "start", "--yes"], arguments].concat()).text()
    }

    /// Runs a consumer that takes orders as `E`, until `meanwhile` has ended.
    async fn consumed<E>(&self, name: &str, meanwhile: impl AsyncFnOnce(Stats))
    where
        E: Event + Send + Sync + 'static,
    {
        let consumer = Consumer::builder(name, self.store.clone())
            .from(self.store.topics(["orders.order"]))
            .on(handle::<E>)
            .on(handle::<OrderCancelled>)
            .build()
            .unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running = tokio::spawn(consumer.run(shutdown.clone()));
        timeout(DEADLINE, meanwhile(stats)).await.expect("what is waited for comes");
        shutdown.request();
        timeout(DEADLINE, running).await.expect("the consumer stops").unwrap().unwrap();
    }
}

/// Waits until the misspelt consumer has passed over the orders and handled the cancellation behind them.
async fn passes_over(stats: Stats) {
    let read = stats.wait_until(|stats| stats.handled + stats.ignored == 4).await.unwrap();
    assert_eq!((read.handled, read.ignored), (1, 3));
}

#[tokio::test]
async fn a_replay_brings_messages_of_a_misspelt_type_once() {
    let shop = Shop::with_three_orders().await;
    shop.consumed::<OrderPalced>("billing", passes_over).await;
    assert_eq!(shop.effects(OrderPlaced::TYPE).await, (0, 0));

    let corrected = async |stats: Stats| {
        let said = shop.replay(&["--type", OrderPlaced::TYPE]);
        assert_eq!(said, "replay 1 is done: 3 of 3 events published\n");
        stats.wait_until(|stats| stats.handled == 3).await.unwrap();
        assert_eq!(shop.replay(&["--all"]), "replay 2 is done: 4 of 4 events published\n");
        stats.wait_until(|stats| stats.duplicates == 4).await.unwrap();
    };
    shop.consumed::<OrderPlaced>("billing", corrected).await;
    assert_eq!(shop.effects(OrderPlaced::TYPE).await, (3, 3), "the second replay repeats nothing");
    assert_eq!(shop.effects(OrderCancelled::TYPE).await, (1, 1));
}

#[tokio::test]
async fn a_consumer_with_another_name_handles_all_again() {
    let shop = Shop::with_three_orders().await;
    shop.consumed::<OrderPalced>("billing", passes_over).await;
    let all = async |stats: Stats| {
        stats.wait_until(|stats| stats.handled == 4).await.unwrap();
    };
    shop.consumed::<OrderPlaced>("billing-2", all).await;
    assert_eq!(shop.effects(OrderPlaced::TYPE).await, (3, 3));
    assert_eq!(shop.effects(OrderCancelled::TYPE).await, (2, 1), "its effects are there twice");
}
