//! Stores on temporary files, as the tests of a service use them.

use std::sync::Arc;
use std::time::Duration;

use messagekit::adapter::OutboxEvents;
use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Store};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use messagekit_testkit::eventually;
use messagekit_testkit::service::emitted;
use serde::{Deserialize, Serialize};

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id")]
struct OrderPlaced {
    order_id: String,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "parcels.parcel.packed", key = "order_id")]
struct ParcelPacked {
    order_id: String,
}

fn placed(order_id: &str) -> OrderPlaced {
    OrderPlaced { order_id: order_id.to_owned() }
}

#[tokio::test]
async fn temporary_file_goes_with_its_last_handle() {
    let store = SqliteStore::temporary().await.unwrap();
    let folder = store.path().parent().unwrap().to_owned();
    let another = SqliteStore::temporary().await.unwrap();
    assert_ne!(store.path(), another.path());
    let second = store.clone();
    drop(store);
    assert!(second.path().exists());
    drop(second);
    eventually("the folder is gone", Duration::from_secs(120), async || !folder.exists()).await;

    let folder = another.path().parent().unwrap().to_owned();
    another.close().await.unwrap();
    assert!(!folder.exists());
}

#[tokio::test]
async fn outbox_is_read_back_in_the_order_of_writing() {
    let store = SqliteStore::temporary().await.unwrap();
    let outbox = Outbox::new(store.clone(), "shop").unwrap();
    outbox
        .transaction(async |tx| {
            outbox.add_after(tx, placed("o-3"), Duration::from_secs(3_600)).await?;
            outbox.add(tx, placed("o-1")).await?;
            outbox.add(tx, ParcelPacked { order_id: "o-1".into() }).await?;
            Ok(outbox.add(tx, placed("o-2")).await?)
        })
        .await
        .unwrap();
    let mut rolled_back = store.begin().await.unwrap();
    outbox.add(&mut rolled_back, placed("o-9")).await.unwrap();
    store.rollback(rolled_back).await.unwrap();
    assert_eq!(store.outbox_events().await.unwrap().len(), 4);
    let orders = emitted::<OrderPlaced>(&store).await.unwrap();
    let ids: Vec<&str> = orders.iter().map(|order| &*order.data.order_id).collect();
    assert_eq!(ids, ["o-1", "o-2", "o-3"], "a delayed event is last");
    let batch = (10..30).map(|number| placed(&format!("o-{number}")));
    outbox.transaction(async |tx| Ok(outbox.add_all(tx, batch).await?)).await.unwrap();
    let orders = emitted::<OrderPlaced>(&store).await.unwrap();
    let ids: Vec<String> = orders[2..22].iter().map(|order| order.data.order_id.clone()).collect();
    assert_eq!(ids, (10..30).map(|number| format!("o-{number}")).collect::<Vec<_>>());
}

async fn pack(
    outbox: &Outbox<SqliteStore>,
    tx: &mut SqliteTx,
    order: Envelope<OrderPlaced>,
) -> Result<(), HandlerError> {
    outbox.add(tx, ParcelPacked { order_id: order.data.order_id }).await?;
    Ok(())
}

async fn count(tx: &mut SqliteTx, _: Envelope<ParcelPacked>) -> Result<(), HandlerError> {
    tx.call(|c| c.execute("INSERT INTO counted VALUES (1)", ())).await?;
    Ok(())
}

/// The second topic begins to exist while the consumer runs.
#[tokio::test]
async fn run_over_a_file_ends_with_what_it_emits_itself() {
    let store = SqliteStore::temporary().await.unwrap();
    let outbox = Arc::new(Outbox::new(store.clone(), "shop").unwrap());
    outbox
        .transaction(async |tx| {
            tx.call(|c| c.execute_batch("CREATE TABLE counted (one INTEGER)")).await?;
            let orders = (0..500).map(|n| placed(&format!("o-{n}")));
            Ok(outbox.add_all(tx, orders).await?)
        })
        .await
        .unwrap();
    let consumer = Consumer::builder("packing", store.clone()).from(store.clone());
    let consumer = consumer.on_with(outbox, pack).on(count).build().unwrap();
    let done = consumer.run_until_idle().await.unwrap();
    assert_eq!(done.handled, 1_000);
    let counted = store.read(|c| c.query_row("SELECT count(*) FROM counted", (), |row| row.get::<_, i64>(0)));
    assert_eq!(counted.await.unwrap(), 500);
}
