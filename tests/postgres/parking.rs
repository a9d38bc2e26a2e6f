//! A consumer that keeps the order of each key through a failure, with PostgreSQL.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use messagekit::adapter::{Positions, Publisher, codec};
use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageHead, FailedMessageState, FailedMessages,
    Operator,
};
use messagekit::{Backoff, Consumer, Envelope, Event, HandlerError, OnFailure, ParkingLimits, Shutdown};
use messagekit_memory::MemoryLog;
use messagekit_postgres::PgTx;
use messagekit_testkit::{DEADLINE, block_on, eventually};
use serde::{Deserialize, Serialize};

use crate::shop::{Shop, run};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.changed", key = "order_id")]
struct OrderChanged {
    order_id: String,
    change: i64,
}

async fn publish(log: &MemoryLog, order: &str, changes: impl Iterator<Item = i64>) {
    let events: Vec<_> = changes
        .map(|change| OrderChanged { order_id: order.to_owned(), change })
        .map(|event| codec::encode(&Envelope::new(event), "shop").unwrap())
        .collect();
    for result in log.publish(&events).await {
        result.unwrap();
    }
}

/// Inserts each change; the fifth of order `a` fails until it is repaired.
async fn note(
    repaired: &AtomicBool,
    tx: &mut PgTx,
    event: Envelope<OrderChanged>,
) -> Result<(), HandlerError> {
    let OrderChanged { order_id, change } = event.data;
    sqlx::query("INSERT INTO changes (id, change) VALUES ($1, $2)")
        .bind(&order_id)
        .bind(change)
        .execute(&mut **tx)
        .await?;
    if order_id == "a" && change == 5 && !repaired.load(Ordering::SeqCst) {
        return Err(HandlerError::permanent("order a has no customer"));
    }
    Ok(())
}

/// Returns the changes of an order as they took effect.
async fn changes(shop: &Shop, order: &str) -> Vec<i64> {
    sqlx::query_scalar("SELECT change FROM changes WHERE id = $1 ORDER BY at")
        .bind(order)
        .fetch_all(shop.store.pool())
        .await
        .unwrap()
}

async fn failed_messages(shop: &Shop) -> Vec<FailedMessageHead> {
    let mut failed_messages = shop.store.list(&FailedMessageFilter::default(), 1_000).await.unwrap();
    failed_messages.reverse();
    failed_messages
}

async fn act(shop: &Shop, act: Action, failed_message: i64) -> ActionResult {
    shop.store.act(act, &[failed_message], &Operator::new("ann", "test")).await.unwrap()[0]
}

async fn shop() -> Shop {
    let shop = Shop::open().await;
    run(
        shop.store.pool(),
        "CREATE TABLE changes (id text, change bigint, at bigint GENERATED ALWAYS AS IDENTITY)",
    )
    .await;
    shop
}

#[test]
fn repaired_key_is_handled_in_order_while_more_of_it_arrives() {
    block_on(async {
        let (shop, log, repaired) = (shop().await, MemoryLog::new(1), Arc::new(AtomicBool::new(false)));
        publish(&log, "a", 1..=10).await;
        publish(&log, "b", 1..=10).await;
        let consumer = Consumer::builder("noting", shop.store.clone())
            .from(log.topics([OrderChanged::TOPIC]))
            .on_failure(OnFailure::ParkKey)
            .on_with(Arc::clone(&repaired), note)
            .build()
            .unwrap();
        let shutdown = Shutdown::new();
        let running =
            tokio::spawn(consumer.run(shutdown.clone()).inspect(|ended| assert!(ended.is_ok(), "{ended:?}")));
        eventually("everything is handled or kept", DEADLINE, async || {
            log.committed("noting", OrderChanged::TOPIC, 0) == 20
        })
        .await;
        assert_eq!(changes(&shop, "b").await, (1..=10).collect::<Vec<_>>(), "another key is unaffected");
        assert_eq!(changes(&shop, "a").await, [1, 2, 3, 4]);
        let kept = failed_messages(&shop).await;
        let states: Vec<_> = kept.iter().map(|failed_message| failed_message.state).collect();
        assert_eq!(states[0], FailedMessageState::Dead);
        assert_eq!(states[1..], [FailedMessageState::Blocked; 5]);
        assert_eq!((kept[0].holds_back, kept[1].holds_back), (5, 0));
        let refused = act(&shop, Action::Retry, kept[1].id).await;
        assert_eq!(refused, ActionResult::WrongState(FailedMessageState::Blocked), "its turn has not come");

        repaired.store(true, Ordering::SeqCst);
        assert_eq!(act(&shop, Action::Retry, kept[0].id).await, ActionResult::Done);
        for change in 11..=60 {
            publish(&log, "a", change..=change).await;
        }
        eventually("the key is through", DEADLINE, async || changes(&shop, "a").await.len() == 60).await;
        assert_eq!(changes(&shop, "a").await, (1..=60).collect::<Vec<_>>());
        eventually("nothing is held", DEADLINE, async || {
            let held = "SELECT count(*) FROM messagekit.blocked_keys WHERE consumer <> ''";
            let held: i64 = sqlx::query_scalar(held).fetch_one(shop.store.pool()).await.unwrap();
            held == 0
        })
        .await;
        assert!(
            failed_messages(&shop)
                .await
                .iter()
                .all(|failed_message| failed_message.state == FailedMessageState::Resolved)
        );
        shutdown.request();
        running.await.unwrap().unwrap();
    });
}

#[test]
fn key_lanes_keep_key_order_and_store_their_own_positions() {
    block_on(async {
        let (shop, log, repaired) = (shop().await, MemoryLog::new(1), Arc::new(AtomicBool::new(false)));
        let keys: Vec<String> = (0..40).map(|n| format!("k-{n}")).chain(["a".to_owned()]).collect();
        for change in 1..=20 {
            for key in &keys {
                publish(&log, key, change..=change).await;
            }
        }
        let consumer = Consumer::builder("noting", shop.store.clone())
            .from(log.topics([OrderChanged::TOPIC]))
            .on_failure(OnFailure::ParkKey)
            .key_lanes(NonZeroU32::new(4).unwrap())
            .on_with(Arc::clone(&repaired), note)
            .build()
            .unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running =
            tokio::spawn(consumer.run(shutdown.clone()).inspect(|ended| assert!(ended.is_ok(), "{ended:?}")));
        eventually("everything is handled or kept", DEADLINE, async || {
            log.committed("noting", OrderChanged::TOPIC, 0) == 41 * 20
        })
        .await;
        assert_eq!((stats.connection().lanes, stats.connection().blocked), (1, 0));
        for key in &keys[..40] {
            assert_eq!(changes(&shop, key).await, (1..=20).collect::<Vec<_>>(), "{key}");
        }
        assert_eq!(changes(&shop, "a").await, [1, 2, 3, 4]);
        repaired.store(true, Ordering::SeqCst);
        assert_eq!(act(&shop, Action::Retry, failed_messages(&shop).await[0].id).await, ActionResult::Done);
        eventually("the key is through", DEADLINE, async || changes(&shop, "a").await.len() == 20).await;
        assert_eq!(changes(&shop, "a").await, (1..=20).collect::<Vec<_>>());
        shutdown.request();
        running.await.unwrap().unwrap();
        let positions = shop.store.next_of("noting", OrderChanged::TOPIC).await.unwrap();
        assert_eq!(positions.iter().map(|position| position.key_lane).collect::<Vec<_>>(), [0, 1, 2, 3]);
        assert_eq!(positions.iter().map(|position| position.next).max(), Some(41 * 20));
    });
}

#[test]
fn unrepaired_key_blocks_its_lane_while_at_its_parking_limit() {
    block_on(async {
        let (shop, log, repaired) = (shop().await, MemoryLog::new(1), Arc::new(AtomicBool::new(false)));
        publish(&log, "a", 1..=20).await;
        let consumer = Consumer::builder("noting", shop.store.clone())
            .from(log.topics([OrderChanged::TOPIC]))
            .on_failure(OnFailure::ParkKey)
            .parking_limits(ParkingLimits { per_key: 4, in_all: 100 })
            .backoff(Backoff::fixed(Duration::from_millis(5)))
            .on_with(Arc::clone(&repaired), note)
            .build()
            .unwrap();
        let (stats, shutdown) = (consumer.stats(), Shutdown::new());
        let running =
            tokio::spawn(consumer.run(shutdown.clone()).inspect(|ended| assert!(ended.is_ok(), "{ended:?}")));
        eventually("the lane is blocked", DEADLINE, async || stats.connection().blocked == 1).await;
        let kept = failed_messages(&shop).await;
        assert_eq!((kept.len(), changes(&shop, "a").await.len()), (4, 4));
        assert_eq!(log.committed("noting", OrderChanged::TOPIC, 0), 8, "nothing is passed over");

        repaired.store(true, Ordering::SeqCst);
        assert_eq!(act(&shop, Action::Retry, kept[0].id).await, ActionResult::Done);
        eventually("the key is through", DEADLINE, async || changes(&shop, "a").await.len() == 20).await;
        assert_eq!(changes(&shop, "a").await, (1..=20).collect::<Vec<_>>());
        shutdown.request();
        running.await.unwrap().unwrap();
    });
}
