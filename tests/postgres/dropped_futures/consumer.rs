//! Consumers: a claimed message takes effect once, whenever its future is dropped.

use std::collections::HashSet;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use messagekit::adapter::{BatchLimit, Markers, NextOffset, Positions, Publisher, codec};
use messagekit::operations::{FailedMessageFilter, FailedMessageState, FailedMessages};
use messagekit::{
    Backoff, Claim, Consumer, ConsumerBuilder, Envelope, Error, Event, HandlerError, MessageId, OnFailure,
    Shutdown, Store,
};
use messagekit_memory::{MemoryLog, MemorySource};
use messagekit_postgres::{PgTx, PostgresStore};
use messagekit_testkit::{DEADLINE, Moment, block_on, eventually, given_up};

use super::{Known, Stage, assert_pool_is_clean, narrow, strike};
use crate::shop::{OrderPlaced, Shop, insert_bill, run as run_sql};

const STAGES: [&str; 5] = ["begin", "claim", "effect", "offsets", "commit"];

/// Handles a message as a lane does, unless it is handled already.
async fn apply(shop: &Shop, store: &PostgresStore, id: &MessageId, stage: &Stage) -> Result<(), Error> {
    let mut tx = store.begin().await?;
    stage.is(1);
    if store.claim(&mut tx, &shop.consumer, &[shop.request(id)]).await? == [Claim::Done] {
        return store.rollback(tx).await;
    }
    stage.is(2);
    insert_bill(&mut tx, id.as_str()).await;
    stage.is(3);
    let next = NextOffset { topic: Arc::from("orders.order"), partition: 0, key_lane: 0, next: 1 };
    store.advance(&mut tx, &shop.consumer, &[next]).await?;
    stage.is(4);
    store.commit(tx).await
}

async fn bills_of(store: &PostgresStore, id: &str) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM bills WHERE id = $1").bind(id);
    count.fetch_one(store.pool()).await.unwrap()
}

#[test]
fn a_claim_dropped_at_any_await_takes_effect_once() {
    block_on(async {
        let shop = Shop::open().await;
        let store = narrow(&shop.database, 1).await;
        let apply_one = async |id: &MessageId, stage: &Stage| apply(&shop, &store, id, stage).await;
        strike(
            &STAGES,
            async |_| MessageId::new(),
            apply_one,
            async |id, known| {
                assert_pool_is_clean(&store).await;
                let bills = bills_of(&store, id.as_str()).await;
                match known {
                    Known::Kept => assert_eq!(bills, 1, "lost"),
                    Known::Nothing => assert_eq!(bills, 0, "kept without a commit"),
                    Known::Unknown => assert!(bills <= 1, "doubled"),
                }
                // It is delivered again, twice.
                for _ in 0..2 {
                    apply(&shop, &store, &id, &Stage::default()).await.unwrap();
                }
                assert_eq!(bills_of(&store, id.as_str()).await, 1);
            },
        )
        .await;
    });
}

async fn publish(log: &MemoryLog, numbers: std::ops::Range<usize>) {
    let event =
        |number| codec::encode(&Envelope::new(OrderPlaced::new(&format!("o-{number}"))), "shop").unwrap();
    for result in log.publish(&numbers.map(event).collect::<Vec<_>>()).await {
        result.unwrap();
    }
}

fn billing(store: &PostgresStore, log: &MemoryLog) -> ConsumerBuilder<PostgresStore, MemorySource> {
    Consumer::builder("billing", store.clone())
        .from(log.topics([OrderPlaced::TOPIC]))
        .on_failure(OnFailure::ParkKey)
        .batch(BatchLimit { messages: NonZeroU32::new(4).unwrap(), time: Duration::from_millis(20) })
        .backoff(Backoff::fixed(Duration::from_millis(1)))
        .attempts(NonZeroU32::new(1_000).unwrap())
}

/// The ids that a handler has seen.
type SeenBefore = Mutex<HashSet<String>>;

/// Bills an order; every seventh only when it runs for the second time in this test.
async fn shaky(seen: &SeenBefore, tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let id = order.data.order_id;
    insert_bill(tx, &id).await;
    match id.ends_with('7') && seen.lock().unwrap().insert(id) {
        true => Err(HandlerError::retryable("the first run fails")),
        false => Ok(()),
    }
}

async fn every_order_is_billed_once(shop: &Shop, orders: usize) {
    let mut billed: Vec<String> =
        sqlx::query_scalar("SELECT id FROM bills").fetch_all(shop.store.pool()).await.unwrap();
    let mut expected: Vec<String> = (0..orders).map(|number| format!("o-{number}")).collect();
    billed.sort_unstable();
    expected.sort_unstable();
    assert_eq!(billed, expected);
}

#[test]
fn a_consumer_dropped_at_any_await_bills_each_order_once() {
    const ORDERS: usize = 200;
    const DROPS: usize = 60;
    block_on(async {
        let (shop, log, seen) = (Shop::open().await, MemoryLog::new(1), Arc::new(SeenBefore::default()));
        let store = narrow(&shop.database, 3).await;
        let consumer = || billing(&store, &log).on_with(Arc::clone(&seen), shaky).build().unwrap();
        let (mut random, mut orders) = (fastrand::Rng::with_seed(23), 0);
        for _ in 0..DROPS {
            if log.committed("billing", OrderPlaced::TOPIC, 0) == orders as i64 {
                // They were faster than expected: publish more.
                publish(&log, orders..orders + ORDERS).await;
                orders += ORDERS;
            }
            // From the first polls of a start to some batches.
            let most = *random.choice(&[8, 40, 400]).unwrap();
            let (polls, moment) =
                (random.u32(1..most), *random.choice(&[Moment::Waiting, Moment::Answered]).unwrap());
            let run = given_up(consumer().run(Shutdown::new()), polls, moment);
            // Without work left, nothing polls it.
            let run = tokio::time::timeout(Duration::from_secs(1), run).await;
            assert!(!matches!(run, Ok(Some(_))), "the consumer ended by itself");
            assert_pool_is_clean(&store).await;
            // A dropped run counts as a crash, and five would set a message aside.
            run_sql(shop.store.pool(), "DELETE FROM messagekit.in_flight_attempts").await;
        }
        // A failed message whose run was dropped would stay leased for a while.
        let due = "UPDATE messagekit.failed_messages SET due = now() WHERE running_since IS NOT NULL";
        run_sql(shop.store.pool(), due).await;
        let shutdown = Shutdown::new();
        let running = tokio::spawn(consumer().run(shutdown.clone()));
        eventually("everything is settled", DEADLINE, async || {
            // Read before the list: the last message may fail in between.
            let is_through = log.committed("billing", OrderPlaced::TOPIC, 0) == orders as i64;
            let failed_messages = shop.store.list(&FailedMessageFilter::default(), 10_000).await.unwrap();
            is_through
                && failed_messages
                    .iter()
                    .all(|failed_message| failed_message.state == FailedMessageState::Resolved)
        })
        .await;
        shutdown.request();
        running.await.unwrap().unwrap();
        every_order_is_billed_once(&shop, orders).await;
        assert_pool_is_clean(&store).await;
    });
}

/// Bills an order. One of three waits for ever in a statement in its first run.
async fn stuck(seen: &SeenBefore, tx: &mut PgTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let id = order.data.order_id;
    insert_bill(tx, &id).await;
    if matches!(&*id, "o-0" | "o-5" | "o-11") && seen.lock().unwrap().insert(id) {
        sqlx::query("SELECT pg_sleep(600)").execute(&mut **tx).await?;
    }
    Ok(())
}

#[test]
fn a_handler_dropped_inside_a_statement_leaves_no_transaction() {
    const ORDERS: usize = 12;
    block_on(async {
        let (shop, log, seen) = (Shop::open().await, MemoryLog::new(1), Arc::new(SeenBefore::default()));
        let store = narrow(&shop.database, 2).await;
        publish(&log, 0..ORDERS).await;
        let consumer =
            billing(&store, &log).deadline(Duration::from_secs(1)).on_with(Arc::clone(&seen), stuck);
        let shutdown = Shutdown::new();
        let running = tokio::spawn(consumer.build().unwrap().run(shutdown.clone()));
        eventually("every order is billed", DEADLINE, async || shop.bills().await == ORDERS as i64).await;
        eventually("every failed message is resolved", DEADLINE, async || {
            let failed_messages = shop.store.list(&FailedMessageFilter::default(), 100).await.unwrap();
            assert!(failed_messages.iter().all(|failed_message| &*failed_message.kind == "too_slow" || failed_message.attempts == 0));
            !failed_messages.is_empty() && failed_messages.iter().all(|failed_message| failed_message.state == FailedMessageState::Resolved)
        })
        .await;
        shutdown.request();
        running.await.unwrap().unwrap();
        assert_eq!(seen.lock().unwrap().len(), 3, "void: a handler that was to wait did not");
        every_order_is_billed_once(&shop, ORDERS).await;
        assert_pool_is_clean(&store).await;
    });
}
