//! Events of old versions in a file: handled by the newest struct, retried by an operator, and replayed.

use std::path::Path;
use std::time::{Duration, Instant};

use messagekit::{Consumer, Envelope, Event, HandlerError, Outbox, Shutdown, Store, WireForm};
use messagekit_sqlite::{SqliteStore, SqliteTx};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::command::on;

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id", version = "1.1")]
struct PlacedV1 {
    order_id: String,
    pence: i64,
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id", version = "2.0", upcast_from = PlacedV1)]
struct PlacedV2 {
    order_id: String,
    amount: i64,
    currency: String,
}

impl From<PlacedV1> for PlacedV2 {
    fn from(old: PlacedV1) -> Self {
        Self { order_id: old.order_id, amount: old.pence, currency: "GBP".to_owned() }
    }
}

#[derive(Event, Serialize, Deserialize)]
#[event(type = "orders.order.placed", key = "order_id", version = "3.0", upcast_from = PlacedV2)]
struct PlacedV3 {
    order_id: String,
    total: Money,
}

#[derive(Serialize, Deserialize)]
struct Money {
    units: i64,
    currency: String,
}

impl From<PlacedV2> for PlacedV3 {
    fn from(old: PlacedV2) -> Self {
        Self { order_id: old.order_id, total: Money { units: old.amount, currency: old.currency } }
    }
}

async fn write<E: Event>(store: &SqliteStore, form: WireForm, event: E) {
    let outbox = Outbox::new(store.clone(), "order-service").unwrap().wire_form(form);
    let mut tx = store.begin().await.unwrap();
    outbox.add(&mut tx, event).await.unwrap();
    outbox.commit(tx).await.unwrap();
}

/// Books an order; one over 900 needs an account first.
async fn book(tx: &mut SqliteTx, placed: Envelope<PlacedV3>) -> Result<(), HandlerError> {
    let (order, version) = (placed.data.order_id.clone(), placed.data_version.clone());
    let Money { units, currency } = placed.data.total;
    let is_known =
        tx.call(|c| c.query_row("SELECT count(*) FROM accounts", (), |row| row.get::<_, i64>(0))).await? > 0;
    if units > 900 && !is_known {
        return Err(HandlerError::permanent("no account"));
    }
    let insert = "INSERT INTO booked (order_id, units, currency, version) VALUES (?1, ?2, ?3, ?4)";
    tx.call(move |c| c.execute(insert, (order, units, currency, version))).await?;
    Ok(())
}

/// Runs the consumer until it has booked so many orders and so many have failed.
async fn consume(file: &Path, booked: i64, failed: i64) -> Vec<Value> {
    let store = SqliteStore::open(file).await.unwrap();
    let consumer = Consumer::builder("billing", store.clone()).from(store.topics(["orders.order"])).on(book);
    let shutdown = Shutdown::new();
    let running = tokio::spawn(consumer.build().unwrap().run(shutdown.clone()));
    let count = "SELECT (SELECT count(*) FROM booked), (SELECT count(*) FROM messagekit_failed_messages WHERE state = 'dead')";
    let (end, wanted) = (Instant::now() + Duration::from_secs(60), (booked, failed));
    loop {
        let found =
            store.read(move |c| c.query_row(count, (), |row| Ok((row.get(0)?, row.get(1)?)))).await.unwrap();
        if found == wanted {
            break;
        }
        assert!(Instant::now() < end, "booked and failed: {found:?}, and not {wanted:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    shutdown.request();
    running.await.unwrap().unwrap();
    let rows = "SELECT json_array(order_id, units, currency, version) FROM booked ORDER BY rowid";
    let rows = store
        .read(move |c| {
            c.prepare(rows)?.query_map((), |row| row.get::<_, String>(0))?.collect::<Result<Vec<_>, _>>()
        })
        .await
        .unwrap();
    store.close().await.unwrap();
    rows.iter().map(|row| serde_json::from_str(row).unwrap()).collect()
}

#[tokio::test]
async fn old_versions_are_upcast_when_handled_retried_and_replayed() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("shop.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    let tables = "CREATE TABLE accounts (name TEXT); CREATE TABLE booked (order_id TEXT, units INTEGER, currency TEXT, version TEXT)";
    tx.call(move |c| c.execute_batch(tables)).await.unwrap();
    store.commit(tx).await.unwrap();
    let forms = [WireForm::Messagekit, WireForm::CloudEventsStructured, WireForm::CloudEventsBinary];
    for (number, form) in forms.into_iter().enumerate() {
        let id = |version: i32| format!("o-{version}-{number}");
        write(&store, form, PlacedV1 { order_id: id(1), pence: 1 }).await;
        let currency = "EUR".to_owned();
        write(&store, form, PlacedV2 { order_id: id(2), amount: 2, currency: currency.clone() }).await;
        write(&store, form, PlacedV3 { order_id: id(3), total: Money { units: 3, currency } }).await;
    }
    write(&store, WireForm::CloudEventsBinary, PlacedV1 { order_id: "large".to_owned(), pence: 901 }).await;
    store.close().await.unwrap();

    let mut booked = consume(&file, 9, 1).await;
    booked.sort_by_key(Value::to_string);
    let expected = |version: i64, number: i64| {
        let (currency, written) = [("GBP", "1.1"), ("EUR", "2.0"), ("EUR", "3.0")][version as usize - 1];
        json!([format!("o-{version}-{number}"), version, currency, written])
    };
    let all: Vec<Value> =
        (1..=3).flat_map(|version| (0..3).map(move |number| expected(version, number))).collect();
    assert_eq!(booked, all);

    let list = on(&file, &["dlq", "list", "--json"]).json();
    let failed = list["failed_messages"][0]["id"].to_string();
    let store = SqliteStore::open(&file).await.unwrap();
    let mut tx = store.begin().await.unwrap();
    tx.call(|c| c.execute("INSERT INTO accounts VALUES ('large')", ())).await.unwrap();
    store.commit(tx).await.unwrap();
    store.close().await.unwrap();
    on(&file, &["dlq", "retry", &failed]).text();
    let booked = consume(&file, 10, 0).await;
    assert_eq!(booked[9], json!(["large", 901, "GBP", "1.1"]), "a retry reads the old version, too");

    let same = on(&file, &["replay", "start", "--all", "--yes"]).text();
    assert_eq!(same, "replay 1 is done: 10 of 10 events published\n");
    let new = on(&file, &["replay", "start", "--key", "o-1-2", "--ids", "new", "--yes"]).text();
    assert_eq!(new, "replay 2 is done: 1 of 1 event published\n");
    let booked = consume(&file, 11, 0).await;
    assert_eq!(
        booked[10],
        json!(["o-1-2", 1, "GBP", "1.1"]),
        "under its id an event is a duplicate, under a new one it is not"
    );
}
