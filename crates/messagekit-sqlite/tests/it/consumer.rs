//! The consumer loop over topics, markers and failed messages of one file.

use std::time::Duration;

use messagekit::operations::{
    Action, ActionResult, FailedMessageFilter, FailedMessageState, FailedMessages, Operator,
};
use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use serde::{Deserialize, Serialize};

use crate::support::*;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
    pence: i64,
}

/// Fails for an order that costs nothing, until the table allows it.
async fn bill(tx: &mut SqliteTx, order: Envelope<OrderPlaced>) -> Result<(), HandlerError> {
    let (id, pence) = (order.event_id.to_string(), order.data.pence);
    let allowed = tx
        .call(move |c| {
            c.execute("INSERT INTO bills (event, pence) VALUES (?1, ?2)", (id, pence))?;
            c.query_row("SELECT free_is_allowed FROM rules", [], |row| row.get::<_, bool>(0))
        })
        .await?;
    if pence == 0 && !allowed {
        return Err(HandlerError::permanent("order costs nothing"));
    }
    Ok(())
}

async fn tables(store: &SqliteStore) {
    execute(
        store,
        "CREATE TABLE bills (event TEXT, pence INTEGER); CREATE TABLE rules (free_is_allowed INTEGER);
         INSERT INTO rules VALUES (0)",
    )
    .await;
}

async fn place(store: &SqliteStore, count: i64, pence: i64) {
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    let mut tx = store.begin().await.unwrap();
    let orders = (0..count).map(|n| OrderPlaced { order_id: format!("o-{pence}-{n}"), pence });
    outbox.add_all(&mut tx, orders).await.unwrap();
    outbox.commit(tx).await.unwrap();
}

fn start(store: &SqliteStore, shutdown: &Shutdown) -> tokio::task::JoinHandle<Result<(), messagekit::Error>> {
    let source = store.topics(["orders.order"]);
    let consumer = Consumer::builder("billing", store.clone()).from(source).on(bill).build().unwrap();
    let run = consumer.run(shutdown.clone());
    tokio::spawn(async move { run.await.map(drop) })
}

async fn billed(store: &SqliteStore) -> i64 {
    number(store, "SELECT count(*) FROM bills").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_event_is_applied_once_through_restarts_and_take_overs() {
    let fixture = Fixture::new().await;
    let other = fixture.other_process().await;
    tables(&fixture.store).await;
    let standby = Shutdown::new();
    let mut waiting = None;
    for round in 1..=5 {
        let shutdown = Shutdown::new();
        let running = start(&fixture.store, &shutdown);
        if waiting.is_none() {
            waiting = Some(start(&other, &standby));
        }
        place(&fixture.store, 300, 5).await;
        // Ends during the work, alternately by a stop and by a crash.
        eventually("some work", || async { billed(&other).await > (round - 1) * 300 }).await;
        if round % 2 == 0 {
            shutdown.request();
            in_time("the stop", running).await.unwrap().unwrap();
        } else {
            running.abort();
        }
    }
    eventually("all work", || async { billed(&other).await >= 1_500 }).await;
    standby.request();
    in_time("the stop", waiting.unwrap()).await.unwrap().unwrap();
    assert_eq!(billed(&other).await, 1_500);
    assert_eq!(number(&other, "SELECT count(DISTINCT event) FROM bills").await, 1_500);
    let behind = "SELECT count(*) FROM messagekit_topic_partitions p
        JOIN messagekit_consumer_cursors c ON c.tp_id = p.id WHERE c.next <> p.next_offset";
    assert_eq!(number(&other, behind).await, 0, "every cursor stands at its end");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_message_is_stored_and_applied_once_when_retried() {
    let fixture = Fixture::new().await;
    let store = &fixture.store;
    tables(store).await;
    place(store, 50, 5).await;
    place(store, 1, 0).await;
    place(store, 50, 5).await;
    let shutdown = Shutdown::new();
    let running = start(store, &shutdown);
    eventually("all but one", || async { billed(store).await == 100 }).await;
    let dead =
        FailedMessageFilter { state: Some(FailedMessageState::Dead), ..FailedMessageFilter::default() };
    eventually("the failed message", || async { store.list(&dead, 10).await.unwrap().len() == 1 }).await;
    let failed_message = store.list(&dead, 10).await.unwrap().remove(0);
    assert_eq!(
        (failed_message.consumer.as_str(), failed_message.error.as_str()),
        ("billing", "order costs nothing")
    );

    execute(store, "UPDATE rules SET free_is_allowed = 1").await;
    let retried =
        store.act(Action::Retry, &[failed_message.id], &Operator::new("ada", "test")).await.unwrap();
    assert_eq!(retried, [ActionResult::Done]);
    eventually("the retry", || async {
        store.show(failed_message.id).await.unwrap().state == FailedMessageState::Resolved
    })
    .await;
    tokio::time::timeout(Duration::from_secs(120), async {
        shutdown.request();
        running.await.unwrap().unwrap();
    })
    .await
    .unwrap();
    assert_eq!(billed(store).await, 101);
}
